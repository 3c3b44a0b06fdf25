//! Nodes that change the shape of a value, and those that compute with shapes.

use std::rc::Rc;

use super::{
    Importer,
    constants::Constant,
    evaluate::places,
    network::Real,
    values::{Value, sizes},
    window::{Attributes, sides},
};
use crate::proto::NodeProto;

impl<'g> Importer<'g> {
    /// The elements in a row.
    pub(super) fn flatten(&self, node: &NodeProto) -> Result<Value, String> {
        let real = self.values.real(node, 0)?;
        let rank = real.rank as i64;
        match Attributes(node).integer("axis", 1) {
            axis if axis == 1 || axis == 1 - rank => Ok(Value::Real(Real { rank: 2, ..real })),
            axis => Err(format!("`axis` is {axis}; 1 is known")),
        }
    }

    pub(super) fn reshape(&self, node: &NodeProto) -> Result<Value, String> {
        let real = self.values.real(node, 0)?;
        let asked = match self.values.integers(node, 1)? {
            Some(asked) => asked,
            None => Attributes(node).integers("shape").ok_or("it has no shape")?.to_vec(),
        };
        if asked.contains(&0) && Attributes(node).integer("allowzero", 0) != 0 {
            return Err(format!("`allowzero` with the shape {asked:?}, which has no elements"));
        }
        let shape = self.network.shape(real);
        let before = sizes(real, shape);
        let all = shape.elements() as i64;
        let mut after: Vec<i64> = asked
            .iter()
            .enumerate()
            .map(
                |(axis, size)| {
                    if *size == 0 { before.get(axis).copied().unwrap_or(0) } else { *size }
                },
            )
            .collect();
        let rest = |after: &[i64]| {
            let known = after.iter().filter(|size| **size > 0);
            known.fold(1i64, |product, size| product.saturating_mul(*size))
        };
        if let Some(open) = after.iter().position(|size| *size == -1) {
            after[open] = all.checked_div(rest(&after)).unwrap_or(0);
        }
        let is_point = (shape.height, shape.width) == (1, 1);
        let channels = shape.channels as i64;
        match after[..] {
            _ if after == before => Ok(Value::Real(real)),
            [1, row] if row == all => Ok(Value::Real(Real { rank: 2, ..real })),
            [1, c, 1, 1] if c == channels && is_point => Ok(Value::Real(Real { rank: 4, ..real })),
            _ => Err(format!("from {before:?} to {asked:?}; to two dimensions is known")),
        }
    }

    /// Dimensions of size 1 that go or come behind the channels.
    pub(super) fn squeeze(&self, node: &NodeProto, goes: bool) -> Result<Value, String> {
        let real = self.values.real(node, 0)?;
        let axes = match self.values.integers(node, 1)? {
            Some(axes) => axes,
            None => Attributes(node).integers("axes").unwrap_or_default().to_vec(),
        };
        let count = axes.len();
        let rank = if goes { real.rank.checked_sub(count) } else { real.rank.checked_add(count) };
        let rank = rank.filter(|rank| (2..=4).contains(rank));
        let larger = real.rank.max(rank.unwrap_or(0)) as i64;
        let places = axes.iter().map(|axis| if *axis < 0 { axis + larger } else { *axis });
        let shape = self.network.shape(real);
        let is_point = (shape.height, shape.width) == (1, 1);
        match rank {
            Some(rank) if count > 0 && is_point && places.clone().all(|axis| axis >= 2) => {
                Ok(Value::Real(Real { rank, ..real }))
            }
            _ => {
                let before = sizes(real, shape);
                Err(format!("axes {axes:?} of {before:?}; those of one pixel are known"))
            }
        }
    }

    /// Zeros around an image, which a convolution takes over.
    pub(super) fn pad(&self, node: &NodeProto) -> Result<Value, String> {
        let real = self.values.map(node, 0)?;
        let attributes = Attributes(node);
        let mode = attributes.get("mode").map_or("", |a| str::from_utf8(&a.s).unwrap_or("?"));
        if !["", "constant"].contains(&mode) {
            return Err(format!("`mode` is `{mode}`; `constant` is known"));
        }
        let value = match self.values.numbers(node, 2)? {
            Some((_, numbers)) => numbers.first().copied().unwrap_or(0.0),
            None => attributes.real("value", 0.0),
        };
        let pads = match self.values.integers(node, 1)? {
            Some(pads) => pads,
            None => attributes.integers("pads").ok_or("it has no `pads`")?.to_vec(),
        };
        let axes = self.values.integers(node, 3)?.unwrap_or_else(|| vec![0, 1, 2, 3]);
        let pads = pads_of_all(&pads, &axes)?;
        let [0, 0, top, left, 0, 0, bottom, right] = pads else {
            return Err("it pads channels".into());
        };
        let padding = sides(&[top, left, bottom, right])?;
        match value {
            _ if pads == [0; 8] => Ok(Value::Real(real)),
            0.0 => Ok(Value::Padded(real, padding)),
            value => Err(format!("it pads with {value}; 0 is known")),
        }
    }

    /// The sizes of a value as integers.
    pub(super) fn shape_of(&self, node: &NodeProto) -> Result<Value, String> {
        let real = self.values.real(node, 0)?;
        let sizes = sizes(real, self.network.shape(real));
        Ok(Value::Constant(Rc::new(asked_sizes(node, &sizes))))
    }
}

/// Those of a tensor's sizes that a `Shape` asks for: all of them before version 15.
pub(super) fn asked_sizes(node: &NodeProto, sizes: &[i64]) -> Constant {
    let rank = sizes.len() as i64;
    let place = |name: &str, otherwise: i64| {
        let axis = Attributes(node).integer(name, otherwise);
        let axis = if axis < 0 { axis + rank } else { axis };
        axis.clamp(0, rank) as usize
    };
    let asked = sizes.get(place("start", 0)..place("end", rank));
    Constant::integers(asked.unwrap_or_default().to_vec())
}

/// Pads of four dimensions, first those before each, from pads of some: others are not padded.
fn pads_of_all(pads: &[i64], axes: &[i64]) -> Result<[i64; 8], String> {
    if pads.len() != 2 * axes.len() {
        return Err(format!("`pads` has {} numbers, not {}", pads.len(), 2 * axes.len()));
    }
    let (before, after) = pads.split_at(axes.len());
    let mut all = [0; 8];
    for (place, (before, after)) in places(axes, 4)?.into_iter().zip(before.iter().zip(after)) {
        (all[place], all[place + 4]) = (*before, *after);
    }
    Ok(all)
}
