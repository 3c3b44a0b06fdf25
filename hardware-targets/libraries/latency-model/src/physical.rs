//! The physical part of the model: time as a sum of work, data and a constant, each with a
//! coefficient that is never negative.

use std::collections::BTreeMap;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error, ser::SerializeMap};

use spacewright_core::kernel::{Amounts, Kernel, Kind};

/// The most terms that a group of kernels has.
pub const TERMS: usize = 8;

/// No kernel takes less, in ms: 0.1 µs.
pub const LEAST_MS: f64 = 1e-4;

/// Output channels that wide instruction sets compute together (16 accumulators of 32 bits in
/// 512 bits).
const CHANNELS_AT_ONCE: f64 = 16.0;

/// Positions that matrix kernels compute together.
const PIXELS_AT_ONCE: f64 = 4.0;

/// A group that files of earlier versions lack: where nothing of it was measured, it stays away.
const LATER: Group = Group::Of(Kind::Concat);

/// Kernels that share coefficients: one group per kind, but two for convolutions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Group {
    /// Convolutions with a window of one element.
    Conv1x1,
    /// All other kernels of a kind.
    Of(Kind),
}

impl Group {
    /// How many groups there are.
    pub const COUNT: usize = Kind::ALL.len() + 1;

    /// All groups, in the order of [`index`](Self::index).
    pub fn all() -> impl Iterator<Item = Self> {
        (0..Self::COUNT).map(Self::at)
    }

    /// The group at a position; panics from [`COUNT`](Self::COUNT) on.
    pub fn at(index: usize) -> Self {
        index.checked_sub(1).map_or(Self::Conv1x1, |kind| Self::Of(Kind::ALL[kind]))
    }

    /// The group of a kernel.
    pub fn of(kernel: &Kernel) -> Self {
        match kernel.kind {
            Kind::Conv if kernel.taps() <= 1.0 => Self::Conv1x1,
            kind => Self::Of(kind),
        }
    }

    /// Position among all groups.
    pub fn index(self) -> usize {
        match self {
            Self::Conv1x1 => 0,
            Self::Of(kind) => 1 + kind as usize,
        }
    }

    /// The name used in text and JSON.
    pub fn name(self) -> &'static str {
        match self {
            Self::Conv1x1 => "conv_1x1",
            Self::Of(kind) => kind.name(),
        }
    }

    /// Names of the terms, in the order of coefficients:
    ///
    /// * `one`: a constant;
    /// * `macs`: multiply-adds; `macs_c16` with the output channels rounded up to 16, `macs_p4`
    ///   with the output positions rounded up to 4;
    /// * `patches`: elements of the matrix whose rows are the inputs of each output position;
    /// * `taps`: positions × window, for each channel where windows are pooled;
    /// * `input`, `output`, `weights`: elements; `channels`: input channels.
    pub fn terms(self) -> &'static [&'static str] {
        let Self::Of(kind) = self else { return Self::Of(Kind::Conv).terms() };
        match kind {
            Kind::Conv => {
                &["one", "macs", "macs_c16", "macs_p4", "patches", "input", "output", "weights"]
            }
            Kind::Dwconv => &["one", "macs", "input", "output", "weights", "taps"],
            Kind::Add | Kind::Act | Kind::Gap | Kind::Mul | Kind::Concat => {
                &["one", "input", "channels"]
            }
            Kind::Se => &["one", "input", "weights", "channels"],
            Kind::Fc => &["one", "weights"],
            Kind::Entry | Kind::Exit => &["one", "input"],
            Kind::MaxPool | Kind::AvgPool => &["one", "input", "taps", "channels"],
        }
    }
}

/// Values of the terms of a kernel's group, then zeros.
pub fn terms(kernel: &Kernel, amounts: &Amounts) -> [f64; TERMS] {
    let Amounts { pixels, macs, weights, input, output } = *amounts;
    let (cin, cout) = (f64::from(kernel.cin), f64::from(kernel.cout));
    let window = kernel.taps();
    let up = |value: f64, multiple: f64| (value / multiple).ceil() * multiple;
    match kernel.kind {
        Kind::Conv => {
            let patches = pixels * cin * window;
            let by_channels = patches * up(cout, CHANNELS_AT_ONCE);
            let by_pixels = up(pixels, PIXELS_AT_ONCE) * weights;
            [1.0, macs, by_channels, by_pixels, patches, input, output, weights]
        }
        Kind::Dwconv => [1.0, macs, input, output, weights, pixels * window, 0.0, 0.0],
        Kind::Add | Kind::Act | Kind::Gap | Kind::Mul | Kind::Concat => {
            [1.0, input, cin, 0.0, 0.0, 0.0, 0.0, 0.0]
        }
        Kind::Se => [1.0, input, weights, cin, 0.0, 0.0, 0.0, 0.0],
        Kind::Fc => [1.0, weights, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0],
        Kind::Entry | Kind::Exit => [1.0, input, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0],
        Kind::MaxPool | Kind::AvgPool => {
            [1.0, input, pixels * window * cin, cin, 0.0, 0.0, 0.0, 0.0]
        }
    }
}

/// Coefficients in ms per unit of their term, by group.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Physical {
    /// Rows in the order of [`Group::index`], columns in the order of [`Group::terms`], then zeros.
    pub coefficients: [[f64; TERMS]; Group::COUNT],
}

impl Physical {
    /// Time of a kernel in ms, at least [`LEAST_MS`].
    pub fn ms(&self, kernel: &Kernel, amounts: &Amounts) -> f64 {
        let coefficients = &self.coefficients[Group::of(kernel).index()];
        let terms = terms(kernel, amounts);
        terms.iter().zip(coefficients).map(|(term, ms)| term * ms).sum::<f64>().max(LEAST_MS)
    }
}

impl Serialize for Group {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.name())
    }
}

impl<'de> Deserialize<'de> for Group {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let name = String::deserialize(deserializer)?;
        let found = Self::all().find(|group| group.name() == name);
        found.ok_or_else(|| D::Error::custom(format!("there is no group `{name}`")))
    }
}

impl Serialize for Physical {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        struct Named<'a>(Group, &'a [f64; TERMS]);
        impl Serialize for Named<'_> {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_map(self.0.terms().iter().zip(self.1))
            }
        }
        let is_written = |(group, coefficients): &(Group, &[f64; TERMS])| {
            *group != LATER || coefficients.iter().any(|coefficient| *coefficient != 0.0)
        };
        let written: Vec<_> = Group::all().zip(&self.coefficients).filter(is_written).collect();
        let mut map = serializer.serialize_map(Some(written.len()))?;
        for (group, coefficients) in written {
            map.serialize_entry(&group, &Named(group, coefficients))?;
        }
        map.end()
    }
}

impl<'de> Deserialize<'de> for Physical {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let read = BTreeMap::<Group, BTreeMap<String, f64>>::deserialize(deserializer)?;
        let mut physical = Self::default();
        for (group, coefficients) in Group::all().zip(&mut physical.coefficients) {
            if group == LATER && !read.contains_key(&group) {
                continue;
            }
            let named = read.get(&group).map(|named| named.keys().map(String::as_str));
            let named: Vec<&str> = named.into_iter().flatten().collect();
            let terms = group.terms();
            if named.len() != terms.len() || !terms.iter().all(|term| named.contains(term)) {
                let (needed, found) = (terms.join(", "), named.join(", "));
                let reason =
                    format!("{} needs the terms {needed}, but has [{found}]", group.name());
                return Err(D::Error::custom(reason));
            }
            for (coefficient, term) in coefficients.iter_mut().zip(terms) {
                *coefficient = read[&group][*term];
            }
        }
        Ok(physical)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_name_has_a_value_and_each_value_a_name() {
        for kind in Kind::ALL {
            for kernel in [[1; 2], [3; 2]] {
                let kernel =
                    Kernel { kind, kernel, stride: 1, height: 7, width: 7, cin: 20, cout: 20 };
                let group = Group::of(&kernel);
                let values = terms(&kernel, &kernel.amounts());
                let used = values.iter().filter(|value| **value > 0.0).count();
                assert_eq!(used, group.terms().len(), "{group:?}");
            }
        }
    }

    #[test]
    fn convolutions_know_vectors() {
        let kernel = Kernel {
            kind: Kind::Conv,
            kernel: [1; 2],
            stride: 1,
            height: 3,
            width: 3,
            cin: 2,
            cout: 17,
        };
        let values = terms(&kernel, &kernel.amounts());
        assert_eq!(values, [1.0, 306.0, 576.0, 408.0, 18.0, 18.0, 153.0, 34.0]);
    }

    #[test]
    fn json_names_every_coefficient() {
        let mut physical = Physical::default();
        physical.coefficients[Group::Of(Kind::Fc).index()][1] = 0.25;
        let json = serde_json::to_value(&physical).unwrap();
        assert_eq!(json["fc"], serde_json::json!({"one": 0.0, "weights": 0.25}));
        assert_eq!(serde_json::from_value::<Physical>(json.clone()).unwrap(), physical);
        assert_eq!(json.get("concat"), None, "files of earlier versions have none");
        physical.coefficients[Group::Of(Kind::Concat).index()][1] = 0.5;
        let later = serde_json::to_value(&physical).unwrap();
        assert_eq!(later["concat"]["input"], 0.5);
        assert_eq!(serde_json::from_value::<Physical>(later).unwrap(), physical);
        let error = |spoil: fn(&mut serde_json::Value)| {
            let mut json = serde_json::to_value(Physical::default()).unwrap();
            spoil(&mut json);
            serde_json::from_value::<Physical>(json).unwrap_err().to_string()
        };
        let wrong = error(|json| json["fc"] = serde_json::json!({"one": 1.0, "macs": 1.0}));
        assert_eq!(wrong, "fc needs the terms one, weights, but has [macs, one]");
        let wrong = error(|json| drop(json.as_object_mut().unwrap().remove("gap")));
        assert_eq!(wrong, "gap needs the terms one, input, channels, but has []");
    }
}
