//! Commands as lines for a POSIX shell.

/// A word that the shell takes as it is.
pub(super) fn quoted(word: &str) -> String {
    let plain = |letter: char| letter.is_ascii_alphanumeric() || "-_./:=,+@%".contains(letter);
    if !word.is_empty() && word.chars().all(plain) {
        return word.to_owned();
    }
    format!("'{}'", word.replace('\'', r"'\''"))
}

/// A line that becomes the command, with these environment variables besides the shell's own.
pub(super) fn line(variables: &[(String, String)], command: &[String]) -> String {
    let set = variables.iter().map(|(name, value)| quoted(&format!("{name}={value}")));
    let words = ["exec".to_owned(), "env".to_owned()].into_iter().chain(set);
    words.chain(command.iter().map(|word| quoted(word))).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[cfg(unix)]
    fn a_shell_gives_words_back() {
        let words = ["plain", "", "two words", "it's", "$HOME `x` \"y\" \\", "a\nb", "*", "Zoë"];
        let mut command = vec!["printf".to_owned(), "%s|".to_owned()];
        command.extend(words.map(str::to_owned));
        command.push("end".into());
        let line = line(&[("VARIABLE".into(), "a 'b'".into())], &command);
        let output = std::process::Command::new("sh").args(["-c", &line]).output().unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        assert_eq!(text.strip_suffix("|end|").unwrap(), words.join("|"));
        let shown = self::line(&[("A".into(), "b c".into())], &["env".into()]);
        let output = std::process::Command::new("sh").args(["-c", &shown]).output().unwrap();
        assert!(String::from_utf8(output.stdout).unwrap().contains("A=b c\n"));
    }
}
