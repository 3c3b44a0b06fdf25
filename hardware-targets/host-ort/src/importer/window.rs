//! Windows of convolutions and pools: sizes, steps and padding.

use spacewright_core::graph::{KernelSize, Padding, Shape};

use crate::proto::{AttributeProto, NodeProto};

/// The attributes of a node by name.
pub(super) struct Attributes<'g>(pub &'g NodeProto);

impl<'g> Attributes<'g> {
    pub(super) fn get(&self, name: &str) -> Option<&'g AttributeProto> {
        self.0.attribute.iter().find(|attribute| attribute.name == name)
    }

    pub(super) fn integer(&self, name: &str, otherwise: i64) -> i64 {
        self.get(name).map_or(otherwise, |attribute| attribute.i)
    }

    pub(super) fn real(&self, name: &str, otherwise: f32) -> f32 {
        self.get(name).map_or(otherwise, |attribute| attribute.f)
    }

    pub(super) fn integers(&self, name: &str) -> Option<&'g [i64]> {
        self.get(name).map(|attribute| attribute.ints.as_slice())
    }
}

/// A window that moves over a map.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Window {
    pub kernel: KernelSize,
    pub stride: usize,
    pub dilation: usize,
    pub padding: Padding,
}

impl Window {
    /// The window of a node over an input of this shape; `kernel` where its size is that of weights. The size of
    /// the output follows from it as in ONNX, whatever way the node says it.
    pub(super) fn of(
        node: &NodeProto,
        kernel: Option<[usize; 2]>,
        input: Shape,
    ) -> Result<Self, String> {
        let attributes = Attributes(node);
        let pair = |name: &str| match attributes.integers(name) {
            None | Some([]) => Ok(None),
            Some([rows, columns]) => match (usize::try_from(*rows), usize::try_from(*columns)) {
                (Ok(rows), Ok(columns)) if rows > 0 && columns > 0 => Ok(Some([rows, columns])),
                _ => Err(format!("`{name}` is {rows}, {columns}")),
            },
            Some(other) => Err(format!("`{name}` has {} numbers, not two", other.len())),
        };
        let kernel = match kernel {
            Some(kernel) => kernel,
            None => pair("kernel_shape")?.ok_or("it has no `kernel_shape`")?,
        };
        let stride = pair("strides")?.unwrap_or([1, 1]);
        let dilation = pair("dilations")?.unwrap_or([1, 1]);
        if stride[0] != stride[1] {
            return Err(format!("strides {} and {}; equal ones are known", stride[0], stride[1]));
        }
        let (kernel, stride) = (KernelSize::from(kernel), stride[0]);
        let Some(dilation) = kernel.common_dilation(dilation) else {
            let [down, right] = dilation;
            return Err(format!("dilations {down} and {right}; equal ones are known"));
        };
        let padding = padding(&attributes, kernel.dilated(dilation), stride, input)?;
        let window = Self { kernel, stride, dilation, padding };
        if attributes.integer("ceil_mode", 0) != 0 && !window.fits(input) {
            return Err("`ceil_mode`, with a last window that is not whole".into());
        }
        Ok(window)
    }

    /// Whether the last window ends where the padded input does.
    fn fits(self, input: Shape) -> bool {
        let Padding { top, left, bottom, right } = self.padding;
        let span = self.kernel.dilated(self.dilation);
        let ends = |size: usize, span: usize, before: usize, after: usize| {
            let padded = size.saturating_add(before).saturating_add(after);
            let rest = padded.checked_sub(span);
            rest.is_some_and(|rest| rest.is_multiple_of(self.stride))
        };
        ends(input.height, span.rows, top, bottom) && ends(input.width, span.columns, left, right)
    }

    /// Whether it is over the whole input at once.
    pub(super) fn is_whole(self, input: Shape) -> bool {
        self.kernel == [input.height, input.width].into() && self.padding == Padding::default()
    }
}

fn padding(
    attributes: &Attributes<'_>,
    span: KernelSize,
    stride: usize,
    input: Shape,
) -> Result<Padding, String> {
    let automatic = attributes.get("auto_pad").map_or("", |a| str::from_utf8(&a.s).unwrap_or("?"));
    match automatic {
        "" | "NOTSET" => match attributes.integers("pads") {
            None | Some([]) => Ok(Padding::default()),
            Some(pads) => sides(pads),
        },
        "VALID" => Ok(Padding::default()),
        "SAME_UPPER" | "SAME_LOWER" => {
            // As many windows as strides fit into the size, rounded up; an odd pixel at one end.
            let ends = |size: usize, span: usize| {
                let steps = size.div_ceil(stride).saturating_sub(1);
                let reach = steps.saturating_mul(stride).saturating_add(span);
                // Of more pixels, ONNX Runtime leaves some out before the first window.
                let left_out = size.saturating_sub(reach);
                if left_out > 2 {
                    return Err(format!(
                        "`auto_pad` leaves {left_out} pixels out at the end; at most 2 are known"
                    ));
                }
                let all = reach.saturating_sub(size);
                let (less, more) = (all / 2, all.div_ceil(2));
                Ok(if automatic == "SAME_UPPER" { (less, more) } else { (more, less) })
            };
            let (top, bottom) = ends(input.height, span.rows)?;
            let (left, right) = ends(input.width, span.columns)?;
            Ok(Padding { top, left, bottom, right })
        }
        other => Err(format!("`auto_pad` is `{other}`")),
    }
}

/// Padding from numbers of pixels, first those before each dimension.
pub(super) fn sides(pads: &[i64]) -> Result<Padding, String> {
    let Ok(pads) = pads.iter().map(|p| usize::try_from(*p)).collect::<Result<Vec<_>, _>>() else {
        return Err("negative padding".into());
    };
    match pads[..] {
        [top, left, bottom, right] => Ok(Padding { top, left, bottom, right }),
        _ => Err(format!("`pads` has {} numbers, not four", pads.len())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn node(attributes: &[(&str, &[i64])], automatic: &str) -> NodeProto {
        let ints = attributes.iter().map(|(name, ints)| AttributeProto {
            name: (*name).into(),
            ints: ints.to_vec(),
            ..AttributeProto::default()
        });
        let text = AttributeProto {
            name: "auto_pad".into(),
            s: automatic.into(),
            ..AttributeProto::default()
        };
        NodeProto { attribute: ints.chain([text]).collect(), ..NodeProto::default() }
    }

    #[test]
    fn automatic_padding_is_that_of_tensorflow() {
        let pads = |automatic: &str, size: usize| {
            let node = node(&[("kernel_shape", &[3, 3]), ("strides", &[2, 2])], automatic);
            let Padding { top, bottom, .. } =
                Window::of(&node, None, Shape::square(1, size)).unwrap().padding;
            (top, bottom)
        };
        assert_eq!(pads("SAME_UPPER", 224), (0, 1));
        assert_eq!(pads("SAME_LOWER", 224), (1, 0));
        assert_eq!(pads("SAME_UPPER", 7), (1, 1));
        assert_eq!(pads("VALID", 7), (0, 0));
    }

    #[test]
    fn what_a_window_cannot_be_is_said() {
        let error = |attributes: &[(&str, &[i64])]| {
            Window::of(&node(attributes, ""), None, Shape::square(1, 9)).unwrap_err()
        };
        assert_eq!(error(&[]), "it has no `kernel_shape`");
        let three: (&str, &[i64]) = ("kernel_shape", &[3, 3]);
        assert!(error(&[three, ("dilations", &[2, 1])]).contains("dilations 2 and 1"));
        assert!(error(&[three, ("strides", &[1, 2])]).contains("strides 1 and 2"));
        assert!(error(&[three, ("strides", &[0, 0])]).contains("`strides` is 0, 0"));
        assert!(error(&[three, ("pads", &[0, -1, 0, 0])]).contains("negative"));
        let apart = |size: usize| {
            let node = node(&[("kernel_shape", &[1, 1]), ("strides", &[4, 4])], "SAME_UPPER");
            Window::of(&node, None, Shape::square(1, size))
        };
        assert_eq!(apart(7).unwrap().padding, Padding::default());
        assert!(apart(8).unwrap_err().contains("leaves 3 pixels out"));
    }

    #[test]
    fn windows_need_not_be_square_or_dense() {
        let window = |attributes: &[(&str, &[i64])]| {
            let window = Window::of(&node(attributes, "SAME_UPPER"), None, Shape::square(1, 9));
            let Window { kernel, dilation, padding, .. } = window.unwrap();
            (kernel.to_string(), dilation, [padding.top, padding.left])
        };
        let wide: (&str, &[i64]) = ("kernel_shape", &[1, 7]);
        assert_eq!(window(&[wide]), ("1x7".into(), 1, [0, 3]));
        assert_eq!(window(&[wide, ("dilations", &[5, 2])]), ("1x7".into(), 2, [0, 6]));
        let three: (&str, &[i64]) = ("kernel_shape", &[3, 3]);
        assert_eq!(window(&[three, ("dilations", &[2, 2])]), ("3".into(), 2, [2, 2]));
    }

    #[test]
    fn ceil_mode_is_no_matter_where_windows_fit() {
        let pool = |size: usize| {
            let mut node = node(&[("kernel_shape", &[2, 2]), ("strides", &[2, 2])], "");
            let name = "ceil_mode".to_owned();
            node.attribute.push(AttributeProto { name, i: 1, ..AttributeProto::default() });
            Window::of(&node, None, Shape::square(1, size))
        };
        assert!(pool(8).is_ok());
        assert!(pool(9).unwrap_err().contains("`ceil_mode`"));
    }
}
