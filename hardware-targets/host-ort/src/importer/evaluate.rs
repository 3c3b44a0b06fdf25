//! Constants that nodes compute from constants: sizes, paddings, weights that are put in order.

use std::rc::Rc;

use super::{
    constants::{Constant, Elements},
    shapes::asked_sizes,
    window::Attributes,
};
use crate::proto::{NodeProto, data_type};

/// Most elements of a constant that a node computes.
const MOST_ELEMENTS: usize = 1 << 24;

/// What is said of integers that leave 64 bits.
const OVERFLOWS: &str = "arithmetic of constants that overflows";

/// What a node makes of constants; inputs that are left out are `None`.
pub(super) fn evaluate(
    node: &NodeProto,
    inputs: &[Option<Rc<Constant>>],
) -> Result<Constant, String> {
    let input = |at: usize| inputs.get(at).and_then(|input| input.as_deref());
    let first = input(0).ok_or("it has no input")?;
    let attributes = Attributes(node);
    // Later versions have as an input what was an attribute.
    let integers = |at: usize, name: &str| match input(at).map(|constant| &constant.elements) {
        Some(Elements::Integers(numbers)) => Some(numbers.clone()),
        Some(_) => None,
        None => attributes.integers(name).map(<[i64]>::to_vec),
    };
    match node.op_type.as_str() {
        "Add" | "Sub" | "Mul" | "Div" | "Max" | "Min" => {
            let others = inputs.iter().skip(1).flatten();
            others.into_iter().try_fold(first.clone(), |sum, other| {
                elementwise(node.op_type.as_str(), &sum, other)
            })
        }
        "Ceil" => first.map(f32::ceil, Some),
        "Floor" => first.map(f32::floor, Some),
        "Neg" => first.map(|number| -number, i64::checked_neg),
        "Relu" => first.map(|number| number.max(0.0), |number| Some(number.max(0))),
        "Clip" => {
            let limit = |at: usize, name: &str, none: f32| match input(at).map(|c| &c.elements) {
                Some(Elements::Real(numbers)) => numbers.first().copied().unwrap_or(none),
                Some(Elements::Integers(numbers)) => numbers.first().map_or(none, |n| *n as f32),
                Some(Elements::Other(_)) => none,
                None => attributes.real(name, none),
            };
            // Single precision does not hold all integers.
            let whole = |at: usize, real: f32| match input(at).map(|c| &c.elements) {
                Some(Elements::Integers(numbers)) => {
                    numbers.first().copied().unwrap_or(real as i64)
                }
                _ => real as i64,
            };
            let (low, high) = (limit(1, "min", f32::MIN), limit(2, "max", f32::MAX));
            let (lowest, highest) = (whole(1, low), whole(2, high));
            first.map(
                |number| number.max(low).min(high),
                |number| Some(number.max(lowest).min(highest)),
            )
        }
        "Cast" => cast(first, attributes.integer("to", 0)),
        "Shape" => {
            let sizes: Vec<i64> = first.shape.iter().map(|size| *size as i64).collect();
            Ok(asked_sizes(node, &sizes))
        }
        "ConstantOfShape" => filled(first, &attributes),
        "Concat" => concatenated(inputs, attributes.integer("axis", 0)),
        "Gather" => gathered(first, input(1), attributes.integer("axis", 0)),
        "Slice" => {
            let (starts, ends) = (integers(1, "starts"), integers(2, "ends"));
            let (starts, ends) = starts.zip(ends).ok_or("it has no `starts` and `ends`")?;
            sliced(first, &starts, &ends, integers(3, "axes"), integers(4, "steps"))
        }
        "Transpose" => transposed(first, attributes.integers("perm")),
        "Reshape" => {
            let asked = integers(1, "shape").ok_or("it has no shape")?;
            reshaped(first, &asked, attributes.integer("allowzero", 0) != 0)
        }
        "Squeeze" => {
            let axes = places(&integers(1, "axes").unwrap_or_default(), first.shape.len())?;
            let kept =
                first.shape.iter().enumerate().filter(|(axis, size)| {
                    **size != 1 || !(axes.is_empty() || axes.contains(axis))
                });
            Ok(Constant { shape: kept.map(|(_, size)| *size).collect(), ..first.clone() })
        }
        "Unsqueeze" => {
            let axes = integers(1, "axes").ok_or("it has no axes")?;
            let mut places = places(&axes, first.shape.len() + axes.len())?;
            places.sort_unstable();
            let mut shape = first.shape.clone();
            for place in places {
                if place > shape.len() {
                    return Err(format!("axes {axes:?}"));
                }
                shape.insert(place, 1);
            }
            Ok(Constant { shape, ..first.clone() })
        }
        _ => Err("it is not known".into()),
    }
}

impl Constant {
    /// Applies one function to real elements, or the other to integers: that one gives nothing where it overflows.
    fn map(
        &self,
        of_real: impl Fn(f32) -> f32,
        of_integer: impl Fn(i64) -> Option<i64>,
    ) -> Result<Self, String> {
        let elements = match &self.elements {
            Elements::Real(numbers) => {
                Elements::Real(numbers.iter().map(|number| of_real(*number)).collect())
            }
            Elements::Integers(numbers) => {
                let all: Option<Vec<i64>> =
                    numbers.iter().map(|number| of_integer(*number)).collect();
                Elements::Integers(all.ok_or(OVERFLOWS)?)
            }
            Elements::Other(kind) => return Err(format!("a constant of {kind}")),
        };
        Ok(Self { shape: self.shape.clone(), elements })
    }

    /// The elements at these positions in a new shape.
    fn pick(&self, shape: Vec<usize>, positions: &[usize]) -> Result<Self, String> {
        fn each<T: Copy>(numbers: &[T], positions: &[usize]) -> Option<Vec<T>> {
            positions.iter().map(|at| numbers.get(*at).copied()).collect()
        }
        let elements = match &self.elements {
            Elements::Real(numbers) => each(numbers, positions).map(Elements::Real),
            Elements::Integers(numbers) => each(numbers, positions).map(Elements::Integers),
            Elements::Other(kind) => return Err(format!("a constant of {kind}")),
        };
        let elements = elements.ok_or("it reads beyond its input")?;
        Ok(Self { shape, elements })
    }
}

/// The number of elements of a shape, unless these are too many.
fn count(shape: &[usize]) -> Result<usize, String> {
    let product = shape.iter().try_fold(1usize, |product, size| product.checked_mul(*size));
    let within = product.filter(|count| *count <= MOST_ELEMENTS);
    within.ok_or_else(|| format!("a constant of the shape {shape:?} is too large"))
}

/// Axes from 0 on; negative ones are counted from the end.
pub(super) fn places(axes: &[i64], rank: usize) -> Result<Vec<usize>, String> {
    let place = |axis: &i64| {
        let place = if *axis < 0 { axis.checked_add(rank as i64)? } else { *axis };
        usize::try_from(place).ok().filter(|place| *place < rank.max(1))
    };
    let all: Option<Vec<usize>> = axes.iter().map(place).collect();
    all.ok_or_else(|| format!("axes {axes:?} of {rank} dimensions"))
}

/// How far apart neighbours are along each axis.
fn strides(shape: &[usize]) -> Vec<usize> {
    let mut strides = vec![1usize; shape.len()];
    for axis in (1..shape.len()).rev() {
        strides[axis - 1] = strides[axis].saturating_mul(shape[axis]);
    }
    strides
}

/// For each place of a shape, in order, the sum of its coordinates times these strides.
fn positions(shape: &[usize], strides: &[usize]) -> Result<Vec<usize>, String> {
    // Other dimensions of what has no elements may be as large as they like.
    if count(shape)? == 0 {
        return Ok(Vec::new());
    }
    let mut all = vec![0];
    for (size, stride) in shape.iter().zip(strides) {
        all = all.iter().flat_map(|at| (0..*size).map(move |step| at + step * stride)).collect();
    }
    Ok(all)
}

/// Numpy's broadcasting: sizes are aligned at the last axis, and those of 1 are repeated.
fn elementwise(operator: &str, one: &Constant, other: &Constant) -> Result<Constant, String> {
    let rank = one.shape.len().max(other.shape.len());
    let aligned = |shape: &[usize]| [vec![1; rank - shape.len()], shape.to_vec()].concat();
    let (a, b) = (aligned(&one.shape), aligned(&other.shape));
    let size = |(a, b): (&usize, &usize)| match (*a, *b) {
        (a, b) if a == b || b == 1 => Some(a),
        (1, b) => Some(b),
        _ => None,
    };
    let shape: Option<Vec<usize>> = a.iter().zip(&b).map(size).collect();
    let shape = shape.ok_or_else(|| format!("constants of the shapes {a:?} and {b:?}"))?;
    let spread = |of: &[usize]| {
        let steps = strides(of).into_iter().zip(of);
        let steps: Vec<usize> =
            steps.map(|(step, size)| if *size == 1 { 0 } else { step }).collect();
        positions(&shape, &steps)
    };
    let one = one.pick(shape.clone(), &spread(&a)?)?;
    let other = other.pick(shape.clone(), &spread(&b)?)?;
    let elements = match (&one.elements, &other.elements) {
        (Elements::Real(a), Elements::Real(b)) => {
            let of = |(a, b): (&f32, &f32)| match operator {
                "Add" => a + b,
                "Sub" => a - b,
                "Mul" => a * b,
                "Div" => a / b,
                "Max" => a.max(*b),
                _ => a.min(*b),
            };
            Elements::Real(a.iter().zip(b).map(of).collect())
        }
        (Elements::Integers(a), Elements::Integers(b)) => {
            let of = |(a, b): (&i64, &i64)| match operator {
                "Add" => a.checked_add(*b),
                "Sub" => a.checked_sub(*b),
                "Mul" => a.checked_mul(*b),
                "Div" => a.checked_div(*b),
                "Max" => Some(*a.max(b)),
                _ => Some(*a.min(b)),
            };
            let all: Option<Vec<i64>> = a.iter().zip(b).map(of).collect();
            Elements::Integers(all.ok_or(OVERFLOWS)?)
        }
        _ => return Err("constants of two types".into()),
    };
    Ok(Constant { shape, elements })
}

fn cast(constant: &Constant, to: i64) -> Result<Constant, String> {
    let elements = match (&constant.elements, i32::try_from(to).unwrap_or(0)) {
        (Elements::Integers(numbers), data_type::FLOAT) => {
            Elements::Real(numbers.iter().map(|number| *number as f32).collect())
        }
        (Elements::Real(numbers), data_type::INT32 | data_type::INT64) => {
            Elements::Integers(numbers.iter().map(|number| *number as i64).collect())
        }
        // Only the lower half is kept, as in ONNX Runtime.
        (Elements::Integers(numbers), data_type::INT32) => {
            Elements::Integers(numbers.iter().map(|number| i64::from(*number as i32)).collect())
        }
        (Elements::Real(_), data_type::FLOAT) | (Elements::Integers(_), data_type::INT64) => {
            constant.elements.clone()
        }
        (_, other) => return Err(format!("a cast to {}", data_type::name(other))),
    };
    Ok(Constant { shape: constant.shape.clone(), elements })
}

fn sizes_of(numbers: &[i64]) -> Result<Vec<usize>, String> {
    let sizes: Result<_, _> = numbers.iter().map(|number| usize::try_from(*number)).collect();
    sizes.map_err(|_| format!("a shape of {numbers:?}"))
}

fn filled(shape: &Constant, attributes: &Attributes<'_>) -> Result<Constant, String> {
    let Elements::Integers(numbers) = &shape.elements else { return Err("no shape".into()) };
    let shape = sizes_of(numbers)?;
    let count = count(&shape)?;
    let value = attributes.get("value").and_then(|value| value.t.as_ref());
    let value = value.map(|value| Constant::of(value, None)).transpose()?;
    let elements = match value.map(|value| value.elements) {
        None => Elements::Real(vec![0.0; count]),
        Some(Elements::Real(numbers)) => {
            Elements::Real(vec![numbers.first().copied().unwrap_or(0.0); count])
        }
        Some(Elements::Integers(numbers)) => {
            Elements::Integers(vec![numbers.first().copied().unwrap_or(0); count])
        }
        Some(Elements::Other(kind)) => return Err(format!("a constant of {kind}")),
    };
    Ok(Constant { shape, elements })
}

fn concatenated(inputs: &[Option<Rc<Constant>>], axis: i64) -> Result<Constant, String> {
    let parts: Vec<&Constant> = inputs.iter().flatten().map(|part| &**part).collect();
    let first = parts.first().ok_or("it has no input")?;
    let axis = places(&[axis], first.shape.len())?[0];
    let fits = |part: &&Constant| {
        let same = |(at, (a, b)): (usize, (&usize, &usize))| at == axis || a == b;
        part.shape.len() == first.shape.len()
            && part.shape.iter().zip(&first.shape).enumerate().all(same)
    };
    if first.shape.is_empty() || !parts.iter().all(fits) {
        return Err("constants whose shapes do not fit".into());
    }
    let mut shape = first.shape.clone();
    shape[axis] = parts.iter().fold(0, |sum: usize, part| sum.saturating_add(part.shape[axis]));
    let rows: usize = match count(&shape)? {
        0 => 0,
        _ => first.shape[..axis].iter().product(),
    };
    fn joined<T: Copy>(parts: &[&[T]], rows: usize) -> Vec<T> {
        let row = |at: usize| {
            parts.iter().flat_map(move |part| {
                let width = part.len() / rows.max(1);
                part.get(at * width..(at + 1) * width).unwrap_or_default().iter().copied()
            })
        };
        (0..rows).flat_map(row).collect()
    }
    let real: Option<Vec<&[f32]>> = parts.iter().map(|part| part.elements.real()).collect();
    let integers: Option<Vec<&[i64]>> = parts.iter().map(|part| part.elements.integers()).collect();
    let elements = match (real, integers) {
        (Some(parts), _) => Elements::Real(joined(&parts, rows)),
        (_, Some(parts)) => Elements::Integers(joined(&parts, rows)),
        _ => return Err("constants of two types".into()),
    };
    Ok(Constant { shape, elements })
}

fn gathered(from: &Constant, at: Option<&Constant>, axis: i64) -> Result<Constant, String> {
    let at = at.ok_or("it has no positions")?;
    let numbers = at.elements.integers().ok_or("it has no positions")?;
    if from.shape.is_empty() || places(&[axis], from.shape.len())? != [0] {
        return Err("it is known along the first axis".into());
    }
    let rows = places(numbers, from.shape[0])?;
    let inner = count(&from.shape[1..])?;
    let shape = [&at.shape[..], &from.shape[1..]].concat();
    count(&shape)?;
    let positions: Vec<usize> =
        rows.iter().flat_map(|row| row * inner..(row + 1) * inner).collect();
    from.pick(shape, &positions)
}

fn sliced(
    from: &Constant,
    starts: &[i64],
    ends: &[i64],
    axes: Option<Vec<i64>>,
    steps: Option<Vec<i64>>,
) -> Result<Constant, String> {
    let axes = axes.unwrap_or_else(|| (0..starts.len() as i64).collect());
    let axes = places(&axes, from.shape.len())?;
    let steps = steps.unwrap_or_else(|| vec![1; starts.len()]);
    if from.shape.is_empty() || [ends.len(), axes.len(), steps.len()] != [starts.len(); 3] {
        return Err("`starts`, `ends`, `axes` and `steps` of different lengths".into());
    }
    // Their elements were not read: nothing bounds their shape.
    if let Elements::Other(kind) = &from.elements {
        return Err(format!("a constant of {kind}"));
    }
    let mut slice = from.clone();
    for (((start, end), step), axis) in starts.iter().zip(ends).zip(&steps).zip(axes) {
        let size = slice.shape[axis] as i64;
        let from_end = |at: i64| if at < 0 { at.saturating_add(size) } else { at };
        let (start, distance) = match step {
            0 => return Err("a step of 0".into()),
            1.. => {
                let (start, end) = (from_end(*start).clamp(0, size), from_end(*end).clamp(0, size));
                (start, end - start)
            }
            _ => {
                // Back from before the first element begins at it, unlike in numpy.
                let start = from_end(*start).max(0).min(size - 1);
                let end = from_end(*end).clamp(-1, size - 1);
                (start, start - end)
            }
        };
        let taken = distance.max(0).unsigned_abs().div_ceil(step.unsigned_abs());
        let mut shape = slice.shape.clone();
        shape[axis] = taken as usize;
        if shape.contains(&0) {
            slice = slice.pick(shape, &[])?;
            continue;
        }
        let along: Vec<usize> = (0..taken as i64).map(|at| (start + at * step) as usize).collect();
        let mut all = vec![0];
        for (at, (size, stride)) in slice.shape.iter().zip(strides(&slice.shape)).enumerate() {
            let places: Vec<usize> = if at == axis { along.clone() } else { (0..*size).collect() };
            let each = |base: &usize| places.iter().map(|place| base + place * stride).collect();
            all = all.iter().flat_map::<Vec<usize>, _>(each).collect();
        }
        slice = slice.pick(shape, &all)?;
    }
    Ok(slice)
}

fn transposed(from: &Constant, order: Option<&[i64]>) -> Result<Constant, String> {
    let rank = from.shape.len();
    let order = match order {
        Some(order) => places(order, rank)?,
        None => (0..rank).rev().collect(),
    };
    let mut sorted = order.clone();
    sorted.sort_unstable();
    if !sorted.iter().copied().eq(0..rank) {
        return Err(format!("an order of {order:?}"));
    }
    let steps = strides(&from.shape);
    let shape: Vec<usize> = order.iter().map(|axis| from.shape[*axis]).collect();
    let steps: Vec<usize> = order.iter().map(|axis| steps[*axis]).collect();
    let positions = positions(&shape, &steps)?;
    from.pick(shape, &positions)
}

/// A size of 0 is that of before, unless `zeros_stay`.
fn reshaped(from: &Constant, asked: &[i64], zeros_stay: bool) -> Result<Constant, String> {
    let all = count(&from.shape)?;
    let sizes = asked.iter().enumerate().map(|(axis, size)| match size {
        0 if !zeros_stay => from.shape.get(axis).map_or(0, |size| *size as i64),
        size => *size,
    });
    let mut sizes: Vec<i64> = sizes.collect();
    if let Some(open) = sizes.iter().position(|size| *size == -1) {
        sizes[open] = 1;
        let rest = count(&sizes_of(&sizes)?)?;
        sizes[open] = all.checked_div(rest).unwrap_or(0) as i64;
    }
    let shape = sizes_of(&sizes)?;
    match count(&shape)? == all {
        true => Ok(Constant { shape, elements: from.elements.clone() }),
        false => Err(format!("from {:?} to {asked:?}", from.shape)),
    }
}

#[cfg(test)]
mod tests;
