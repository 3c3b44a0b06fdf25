//! How long something took, for people.

/// Seconds as people say them: `3.2 s`, `1 min 15 s`, `2 h 02 min`.
pub fn duration(seconds: f64) -> String {
    let whole = seconds.round() as u64;
    match whole {
        0..60 => format!("{seconds:.1} s"),
        60..3600 => format!("{} min {:02} s", whole / 60, whole % 60),
        _ => format!("{} h {:02} min", whole / 3600, whole / 60 % 60),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seconds_become_minutes_and_hours() {
        assert_eq!(duration(3.21), "3.2 s");
        assert_eq!(duration(75.0), "1 min 15 s");
        assert_eq!(duration(7320.0), "2 h 02 min");
    }
}
