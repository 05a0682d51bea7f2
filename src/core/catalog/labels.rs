//! Owns what is said of an endpoint or a model beside its price: where it runs, what becomes of the data, how exact
//! its weights are, what it can do. Must never guess: what the configuration does not say is unknown.

use std::fmt;

use crate::core::names::Region;

/// How exactly a model's weights are held. Ordered by bits a weight, so that formats of one width are as good as each
/// other: `int4 = fp4 = mxfp4 = nvfp4 < fp6 < int8 = fp8 = mxfp8 < fp16 = bf16 < fp32`. The names are those of
/// OpenRouter's `provider.quantizations` (`contracts/openrouter.md` section 1.2, 2026-11-22).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Quantization {
    Int4,
    Fp4,
    MxFp4,
    NvFp4,
    Fp6,
    Int8,
    Fp8,
    MxFp8,
    Fp16,
    Bf16,
    Fp32,
}

impl Quantization {
    /// Every format, with the name the configuration uses.
    pub const ALL: [(&'static str, Quantization); 11] = [
        ("int4", Quantization::Int4),
        ("fp4", Quantization::Fp4),
        ("mxfp4", Quantization::MxFp4),
        ("nvfp4", Quantization::NvFp4),
        ("fp6", Quantization::Fp6),
        ("int8", Quantization::Int8),
        ("fp8", Quantization::Fp8),
        ("mxfp8", Quantization::MxFp8),
        ("fp16", Quantization::Fp16),
        ("bf16", Quantization::Bf16),
        ("fp32", Quantization::Fp32),
    ];

    /// Bits a weight: what formats are compared by.
    pub const fn bits(self) -> u8 {
        match self {
            Self::Int4 | Self::Fp4 | Self::MxFp4 | Self::NvFp4 => 4,
            Self::Fp6 => 6,
            Self::Int8 | Self::Fp8 | Self::MxFp8 => 8,
            Self::Fp16 | Self::Bf16 => 16,
            Self::Fp32 => 32,
        }
    }

    /// Whether it is at least as exact as another.
    pub const fn is_at_least(self, other: Self) -> bool {
        self.bits() >= other.bits()
    }
}

impl fmt::Display for Quantization {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = Self::ALL.iter().find(|(_, it)| it == self);
        f.write_str(name.map_or("", |(name, _)| name))
    }
}

/// Whether a provider may keep or learn from what it is sent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum DataCollection {
    /// It may, or nobody said that it does not.
    #[default]
    Allow,
    /// It does neither.
    Deny,
}

impl DataCollection {
    /// Both, with the name the configuration uses.
    pub const ALL: [(&'static str, DataCollection); 2] = [
        ("allow", DataCollection::Allow),
        ("deny", DataCollection::Deny),
    ];
}

/// What policies filter endpoints by. The default promises nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Labels {
    /// `None` is unknown.
    pub region: Option<Region>,
    pub data_collection: DataCollection,
    /// Nothing is kept after the answer.
    pub zdr: bool,
    /// `None` is unknown.
    pub quantization: Option<Quantization>,
}

/// What a request may need of a model.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Capability {
    Tools,
    Images,
    JsonSchema,
    Reasoning,
}

impl Capability {
    /// Every capability, with the name the configuration uses.
    pub const ALL: [(&'static str, Capability); 4] = [
        ("tools", Capability::Tools),
        ("images", Capability::Images),
        ("json_schema", Capability::JsonSchema),
        ("reasoning", Capability::Reasoning),
    ];

    /// The name the configuration uses.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Tools => "tools",
            Self::Images => "images",
            Self::JsonSchema => "json_schema",
            Self::Reasoning => "reasoning",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantizations_are_ordered_by_bits_and_know_their_names() {
        let bits: Vec<u8> = Quantization::ALL.iter().map(|(_, it)| it.bits()).collect();
        assert!(bits.is_sorted(), "{bits:?}");
        assert!(Quantization::Int8.is_at_least(Quantization::Fp8));
        assert!(Quantization::Fp8.is_at_least(Quantization::Int8));
        assert!(!Quantization::NvFp4.is_at_least(Quantization::Fp6));
        for (name, it) in Quantization::ALL {
            assert_eq!(it.to_string(), name);
        }
        for (name, it) in Capability::ALL {
            assert_eq!(it.as_str(), name);
        }
    }
}
