//! Which of the attached devices is meant.

use thiserror::Error;

use crate::settings::SERIAL;

/// Why there is no device to work with.
#[derive(Debug, PartialEq, Eq, Error)]
pub(crate) enum DeviceError {
    #[error(
        "no phone is attached: connect one by USB and turn on USB debugging in its developer \
         options"
    )]
    None,
    #[error("several devices are attached; name one in {SERIAL}: {0}")]
    Several(String),
    #[error("{SERIAL} names `{serial}`, which is not attached; attached: {attached}")]
    Unknown { serial: String, attached: String },
    #[error("the phone `{0}` does not trust this machine: unlock it and allow USB debugging")]
    Unauthorized(String),
    #[error("the phone `{0}` is offline: connect it again, or restart adb with `adb kill-server`")]
    Offline(String),
    #[error("the phone `{serial}` is not ready, it is in the state `{state}`")]
    NotReady { serial: String, state: String },
}

/// A line of `adb devices -l`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Device<'a> {
    serial: &'a str,
    /// State, then what is known of the model.
    rest: &'a str,
}

/// Serial number of the one that is named, or else of the only one, from what `adb devices -l`
/// prints.
pub(crate) fn choose(list: &str, named: Option<&str>) -> Result<String, DeviceError> {
    let devices = read(list);
    let device = match (named, devices.as_slice()) {
        (_, []) => return Err(DeviceError::None),
        (None, [only]) => *only,
        (None, several) => return Err(DeviceError::Several(show(several))),
        (Some(serial), all) => {
            *all.iter().find(|device| device.serial == serial).ok_or_else(|| {
                DeviceError::Unknown { serial: serial.to_owned(), attached: show(all) }
            })?
        }
    };
    let serial = device.serial.to_owned();
    match device.rest.split_whitespace().next() {
        Some("device") => Ok(serial),
        Some("unauthorized" | "authorizing") => Err(DeviceError::Unauthorized(serial)),
        Some("offline") => Err(DeviceError::Offline(serial)),
        _ => Err(DeviceError::NotReady { serial, state: device.rest.to_owned() }),
    }
}

/// What stands after the heading; adb may say before it that it starts its server.
fn read(list: &str) -> Vec<Device<'_>> {
    let lines = list.lines().skip_while(|line| !line.starts_with("List of devices"));
    lines
        .skip(1)
        .filter_map(|line| line.trim().split_once(char::is_whitespace))
        .map(|(serial, rest)| Device { serial, rest: rest.trim() })
        .collect()
}

fn show(devices: &[Device<'_>]) -> String {
    let show = |device: &Device<'_>| format!("{} ({})", device.serial, device.rest);
    devices.iter().map(show).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    const TWO: &str = "* daemon not running; starting now at tcp:5037\n\
        * daemon started successfully\n\
        List of devices attached\n\
        9A281FFAZ000AB         device usb:1-1 product:flame model:Pixel_4 transport_id:1\n\
        emulator-5554          offline transport_id:2\n\n";

    #[test]
    fn the_named_device_is_chosen() {
        assert_eq!(choose(TWO, Some("9A281FFAZ000AB")), Ok("9A281FFAZ000AB".into()));
        assert_eq!(
            choose(TWO, Some("emulator-5554")),
            Err(DeviceError::Offline("emulator-5554".into()))
        );
    }

    #[test]
    fn an_unclear_choice_lists_what_is_there() {
        let several = choose(TWO, None).unwrap_err().to_string();
        assert!(several.contains("9A281FFAZ000AB (device usb:1-1 product:flame"), "{several}");
        assert!(several.contains("emulator-5554 (offline"), "{several}");
        let unknown = choose(TWO, Some("other")).unwrap_err().to_string();
        assert!(unknown.contains("`other`") && unknown.contains("9A281FFAZ000AB"), "{unknown}");
    }

    #[test]
    fn states_are_told_apart() {
        let one = |state: &str| choose(&format!("List of devices attached\nP4\t{state}\n"), None);
        assert_eq!(one("device"), Ok("P4".into()));
        assert_eq!(one("unauthorized usb:1-1"), Err(DeviceError::Unauthorized("P4".into())));
        let state = "no permissions (missing udev rules?); see [http://developer.android.com]";
        let serial = "P4".to_owned();
        assert_eq!(one(state), Err(DeviceError::NotReady { serial, state: state.into() }));
        assert_eq!(choose("List of devices attached\n\n", Some("P4")), Err(DeviceError::None));
        assert_eq!(choose("", None), Err(DeviceError::None));
    }
}
