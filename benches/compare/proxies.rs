//! Owns the processes that are compared: how each is started, what it has used so far, and its end.
//! Must never end a process that it did not start.

use std::fs::File;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};

/// How long a proxy may take until it listens; counted, it takes fifty times as long as otherwise.
const START: Duration = Duration::from_secs(60);

/// A proxy that runs.
pub(crate) struct Proxy {
    pub(crate) name: &'static str,
    pub(crate) address: SocketAddr,
    process: Child,
}

/// How a program is run.
#[derive(Clone, Copy)]
pub(crate) enum Run<'a> {
    Plainly,
    /// With its instructions counted, into files of this name and a number.
    Counted(&'a Path),
}

impl Run<'_> {
    fn command(self, program: &Path) -> Command {
        match self {
            Run::Plainly => Command::new(program),
            Run::Counted(into) => {
                let mut command = Command::new("valgrind");
                command
                    .args(["--tool=callgrind", "-q"])
                    .arg(format!("--callgrind-out-file={}", into.display()))
                    .arg(program);
                command
            }
        }
    }
}

impl Proxy {
    /// Pingora alone: this program in its other role.
    pub(crate) fn bare(upstream: SocketAddr, run: Run<'_>) -> anyhow::Result<Self> {
        let address = free()?;
        let mut command = run.command(&std::env::current_exe()?);
        command.args(["bare", &address.to_string(), &upstream.to_string()]);
        Self::start("bare Pingora", address, command, Stdio::null())
    }

    /// nginx, if it is installed.
    pub(crate) fn nginx(
        name: &'static str,
        upstream: SocketAddr,
        room: &Path,
        log: bool,
    ) -> anyhow::Result<Option<Self>> {
        let places = [
            "/usr/sbin/nginx",
            "/usr/local/sbin/nginx",
            "/usr/local/bin/nginx",
            "/opt/homebrew/bin/nginx",
        ];
        let Some(program) = places.iter().find(|place| Path::new(place).exists()) else {
            return Ok(None);
        };
        let address = free()?;
        let room = room.join(name.replace(' ', "-"));
        std::fs::create_dir_all(&room)?;
        let log = match log {
            true => "access_log access.log",
            false => "access_log off",
        };
        std::fs::write(
            room.join("nginx.conf"),
            nginx_conf(address, upstream, &room, log),
        )?;
        let mut command = Command::new(program);
        command
            .arg("-p")
            .arg(&room)
            .arg("-c")
            .arg(room.join("nginx.conf"));
        command.arg("-e").arg(room.join("error.log"));
        Self::start(name, address, command, Stdio::null()).map(Some)
    }

    /// Mainstay as shipped, with one worker thread like the others, its access log going to a file.
    pub(crate) fn mainstay(
        name: &'static str,
        program: &Path,
        upstream: SocketAddr,
        room: &Path,
        run: Run<'_>,
    ) -> anyhow::Result<Self> {
        Self::mainstay_telling(name, program, upstream, (room, ""), run)
    }

    /// The same with these settings of `telemetry`, in one line of YAML.
    pub(crate) fn mainstay_telling(
        name: &'static str,
        program: &Path,
        upstream: SocketAddr,
        (room, telemetry): (&Path, &str),
        run: Run<'_>,
    ) -> anyhow::Result<Self> {
        let (address, admin) = (free()?, free()?);
        let text = format!(
            "server: {{ listen: [\"{address}\"], admin: {{ listen: \"{admin}\" }}, threads: 1 }}\n\
             providers: {{ bench: {{ base_url: \"http://{upstream}/v1\", auth: none }} }}\n\
             models: {{ bench/model: {{ endpoints: [{{ provider: bench }}] }} }}\n\
             telemetry: {{ {telemetry} }}\n"
        );
        let room = room.join(name.replace(' ', "-"));
        Self::mainstay_of(name, program, (address, &text), &room, run)
    }

    /// Mainstay with this configuration, which listens at `address`, in `conf/mainstay.yaml` of a new folder.
    pub(crate) fn mainstay_of(
        name: &'static str,
        program: &Path,
        (address, text): (SocketAddr, &str),
        room: &Path,
        run: Run<'_>,
    ) -> anyhow::Result<Self> {
        // A folder of its own: it is watched for changes of the file.
        std::fs::create_dir_all(room.join("conf"))?;
        let conf = room.join("conf/mainstay.yaml");
        std::fs::write(&conf, text)?;
        let log = File::create(room.join("access.log"))?;
        let mut command = run.command(program);
        command.arg("run").arg("-c").arg(&conf);
        Self::start(name, address, command, Stdio::from(log))
    }

    fn start(
        name: &'static str,
        address: SocketAddr,
        mut command: Command,
        out: Stdio,
    ) -> anyhow::Result<Self> {
        command
            .stdin(Stdio::null())
            .stdout(out)
            .stderr(Stdio::null());
        let process = command
            .spawn()
            .with_context(|| format!("{name} could not start"))?;
        let mut proxy = Self {
            name,
            address,
            process,
        };
        let begun = Instant::now();
        while std::net::TcpStream::connect(address).is_err() {
            let ended = proxy.process.try_wait()?;
            ensure!(ended.is_none(), "{name} ended at once: {ended:?}");
            ensure!(begun.elapsed() < START, "{name} does not listen");
            std::thread::sleep(Duration::from_millis(20));
        }
        Ok(proxy)
    }

    /// CPU time that it has used: the scheduler's count of each thread, which is finer than the ticks of
    /// `/proc/PID/stat`. No thread of these programs ends while it is measured.
    pub(crate) fn cpu(&self) -> anyhow::Result<Duration> {
        let mut used = 0;
        for thread in std::fs::read_dir(self.proc("task"))? {
            let count = std::fs::read_to_string(thread?.path().join("schedstat"))?;
            let count = count.split(' ').next().unwrap_or_default();
            used += count.parse::<u64>().context("an unknown schedstat")?;
        }
        Ok(Duration::from_nanos(used))
    }

    /// The process.
    pub(crate) fn id(&self) -> u32 {
        self.process.id()
    }

    /// Resident memory, in KiB.
    pub(crate) fn resident(&self) -> anyhow::Result<f64> {
        let status = std::fs::read_to_string(self.proc("status"))?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        let count = line
            .and_then(|line| line.split_whitespace().next())
            .context("no VmRSS")?;
        Ok(count.parse()?)
    }

    fn proc(&self, file: &str) -> PathBuf {
        PathBuf::from(format!("/proc/{}/{file}", self.process.id()))
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        // Fails only where it has ended already.
        self.process.kill().ok();
        self.process.wait().ok();
    }
}

/// A port that nobody listens on.
pub(crate) fn free() -> anyhow::Result<SocketAddr> {
    Ok(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?)
}

/// One worker, in the foreground, writing nowhere but into its own room.
fn nginx_conf(address: SocketAddr, upstream: SocketAddr, room: &Path, log: &str) -> String {
    let room = room.display();
    format!(
        "daemon off; master_process off; worker_processes 1; worker_rlimit_nofile 16384;
pid {room}/nginx.pid; error_log {room}/error.log;
events {{ worker_connections 8192; }}
http {{
    {log}; server_tokens off; keepalive_requests 1000000;
    client_body_temp_path {room}/body; proxy_temp_path {room}/proxy; fastcgi_temp_path {room}/fastcgi;
    uwsgi_temp_path {room}/uwsgi; scgi_temp_path {room}/scgi;
    client_max_body_size 32m; client_body_buffer_size 512k;
    upstream provider {{ server {upstream}; keepalive 512; keepalive_requests 1000000; }}
    server {{
        listen {address} backlog=4096;
        location / {{
            proxy_pass http://provider; proxy_http_version 1.1; proxy_set_header Connection \"\";
            proxy_buffering off;
        }}
    }}
}}
"
    )
}
