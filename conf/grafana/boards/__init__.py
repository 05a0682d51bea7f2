"""The dashboards, in the order of an incident."""

from . import clients, cost, proxy, upstream_health

BOARDS = {
    "upstream-health": upstream_health.BOARD,
    "what-clients-feel": clients.BOARD,
    "cost-and-tokens": cost.BOARD,
    "the-proxy-itself": proxy.BOARD,
}
