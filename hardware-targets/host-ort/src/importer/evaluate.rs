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
        "Ceil" => first.map(f32::ceil),
        "Floor" => first.map(f32::floor),
        "Neg" => first.map(|number| -number),
        "Relu" => first.map(|number| number.max(0.0)),
        "Clip" => {
            let limit = |at: usize, name: &str, none: f32| match input(at).map(|c| &c.elements) {
                Some(Elements::Real(numbers)) => numbers.first().copied().unwrap_or(none),
                Some(Elements::Integers(numbers)) => numbers.first().map_or(none, |n| *n as f32),
                Some(Elements::Other(_)) => none,
                None => attributes.real(name, none),
            };
            let (low, high) = (limit(1, "min", f32::MIN), limit(2, "max", f32::MAX));
            first.map(|number| number.max(low).min(high))
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
    /// Applies a function to real elements; to integers where it leaves them as they are.
    fn map(&self, of: impl Fn(f32) -> f32) -> Result<Self, String> {
        let elements = match &self.elements {
            Elements::Real(numbers) => Elements::Real(numbers.iter().map(|n| of(*n)).collect()),
            Elements::Integers(numbers) => {
                // Sizes are small: real numbers hold them exactly.
                Elements::Integers(numbers.iter().map(|n| of(*n as f32) as i64).collect())
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
    let mut all = Vec::with_capacity(count(shape)?);
    all.push(0);
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
            Elements::Integers(all.ok_or("arithmetic of constants that overflows")?)
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
    count(&shape)?;
    let rows: usize = first.shape[..axis].iter().product();
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
    let mut slice = from.clone();
    for (((start, end), step), axis) in starts.iter().zip(ends).zip(&steps).zip(axes) {
        let size = slice.shape[axis] as i64;
        let from_end = |at: i64| if at < 0 { at.saturating_add(size) } else { at };
        let along: Vec<usize> = match step {
            0 => return Err("a step of 0".into()),
            1.. => {
                let (start, end) = (from_end(*start).clamp(0, size), from_end(*end).clamp(0, size));
                (start..end).step_by(*step as usize).map(|at| at as usize).collect()
            }
            _ => {
                // Back from before the first element begins at it, unlike in numpy.
                let start = from_end(*start).max(0).min(size - 1);
                let end = from_end(*end).clamp(-1, size - 1);
                let step = usize::try_from(step.unsigned_abs()).unwrap_or(usize::MAX);
                (end + 1..=start).rev().step_by(step).map(|at| at as usize).collect()
            }
        };
        let mut shape = slice.shape.clone();
        shape[axis] = along.len();
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
mod tests {
    use super::*;
    use crate::proto::AttributeProto;

    fn real(shape: &[usize], numbers: &[f32]) -> Constant {
        Constant { shape: shape.to_vec(), elements: Elements::Real(numbers.to_vec()) }
    }

    fn run(
        operator: &str,
        attributes: &[(&str, i64, &[i64])],
        inputs: &[Constant],
    ) -> Result<Constant, String> {
        let attribute = |(name, i, ints): &(&str, i64, &[i64])| AttributeProto {
            name: (*name).into(),
            i: *i,
            ints: ints.to_vec(),
            ..AttributeProto::default()
        };
        let node = NodeProto {
            op_type: operator.into(),
            attribute: attributes.iter().map(attribute).collect(),
            ..NodeProto::default()
        };
        let inputs: Vec<_> = inputs.iter().map(|input| Some(Rc::new(input.clone()))).collect();
        evaluate(&node, &inputs)
    }

    fn ints(numbers: &[i64]) -> Constant {
        Constant::integers(numbers.to_vec())
    }

    #[test]
    fn arithmetic_repeats_sizes_of_one() {
        let column = real(&[2, 1], &[1.0, 2.0]);
        let row = real(&[3], &[10.0, 20.0, 30.0]);
        let sum = run("Add", &[], &[column, row]).unwrap();
        assert_eq!(sum, real(&[2, 3], &[11.0, 21.0, 31.0, 12.0, 22.0, 32.0]));
        assert_eq!(run("Div", &[], &[ints(&[7]), ints(&[2])]), Ok(ints(&[3])));
        assert!(run("Div", &[], &[ints(&[7]), ints(&[0])]).unwrap_err().contains("overflows"));
        assert!(run("Add", &[], &[ints(&[1]), real(&[1], &[1.0])]).is_err());
        assert!(run("Add", &[], &[ints(&[1, 2]), ints(&[1, 2, 3])]).is_err());
    }

    /// As PyTorch writes the padding of a map: pairs from the last axis, put into the order of ONNX.
    #[test]
    fn paddings_are_put_into_order() {
        let zeros = run("ConstantOfShape", &[], &[ints(&[4])]).unwrap();
        let zeros = run("Cast", &[("to", 7, &[])], &[zeros]).unwrap();
        let all = run("Concat", &[("axis", 0, &[])], &[ints(&[0, 1, 2, 3]), zeros]).unwrap();
        let pairs = run("Reshape", &[], &[all, ints(&[-1, 2])]).unwrap();
        let (from, to, axis, step) = (ints(&[-1]), ints(&[i64::MIN]), ints(&[0]), ints(&[-1]));
        let turned = run("Slice", &[], &[pairs, from, to, axis, step]).unwrap();
        let turned = run("Transpose", &[("perm", 0, &[1, 0])], &[turned]).unwrap();
        let pads = run("Reshape", &[], &[turned, ints(&[-1])]).unwrap();
        assert_eq!(pads, ints(&[0, 0, 2, 0, 0, 0, 3, 1]));
    }

    #[test]
    fn parts_are_taken_and_dimensions_of_one_come_and_go() {
        let table = real(&[2, 2], &[1.0, 2.0, 3.0, 4.0]);
        let row = run("Gather", &[], &[table.clone(), ints(&[-1])]).unwrap();
        assert_eq!(row, real(&[1, 2], &[3.0, 4.0]));
        let (from, to, axis) = (ints(&[1]), ints(&[9]), ints(&[1]));
        let column = run("Slice", &[], &[table.clone(), from, to, axis]).unwrap();
        assert_eq!(column, real(&[2, 1], &[2.0, 4.0]));
        let (from, to, axis, step) = (ints(&[-9]), ints(&[-9]), ints(&[0]), ints(&[-1]));
        let back = run("Slice", &[], &[ints(&[3, 4]), from, to, axis, step]).unwrap();
        assert_eq!(back, ints(&[3]));
        assert_eq!(run("Squeeze", &[], std::slice::from_ref(&column)).unwrap().shape, [2]);
        assert_eq!(run("Unsqueeze", &[], &[column, ints(&[0, -1])]).unwrap().shape, [1, 2, 1, 1]);
        let wide = run("Concat", &[("axis", 1, &[])], &[table.clone(), table]).unwrap();
        assert_eq!(wide, real(&[2, 4], &[1.0, 2.0, 1.0, 2.0, 3.0, 4.0, 3.0, 4.0]));
    }

    #[test]
    fn integers_are_limited_and_cast_as_such() {
        assert_eq!(run("Clip", &[], &[ints(&[-5, 9]), ints(&[0]), ints(&[6])]), Ok(ints(&[0, 6])));
        let halved = run("Cast", &[("to", 6, &[])], &[ints(&[i64::MAX, 7])]);
        assert_eq!(halved, Ok(ints(&[-1, 7])));
    }

    #[test]
    fn sizes_of_zero_stay_where_they_are_allowed() {
        let reshaped = |allows: i64, asked: &[i64]| {
            let allows: (&str, i64, &[i64]) = ("allowzero", allows, &[]);
            run("Reshape", &[allows], &[real(&[2, 0], &[]), ints(asked)]).map(|made| made.shape)
        };
        assert_eq!(reshaped(0, &[0, 0]), Ok(vec![2, 0]));
        assert_eq!(reshaped(1, &[0, 3]), Ok(vec![0, 3]));
        assert!(reshaped(0, &[0, 3]).is_err());
    }

    #[test]
    fn what_would_be_too_large_is_not_made() {
        let large = ints(&[1 << 40, 1 << 40]);
        assert!(run("ConstantOfShape", &[], &[large]).unwrap_err().contains("is too large"));
        let thin = real(&[0], &[]);
        assert!(run("Gather", &[], &[thin, ints(&[3])]).is_err());
        let column = run("ConstantOfShape", &[], &[ints(&[1 << 20, 1])]).unwrap();
        let row = run("ConstantOfShape", &[], &[ints(&[1, 1 << 20])]).unwrap();
        assert!(run("Mul", &[], &[column, row]).unwrap_err().contains("is too large"));
    }
}
