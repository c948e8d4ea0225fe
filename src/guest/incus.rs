//! What Incus and LXD need of an image: `metadata.yaml`.

use super::config::Config;
use super::system::System;

/// The text of `metadata.yaml` of a unified image, whose files lie below `rootfs/`. `created` is
/// the image's time in seconds since 1970: the same image has the same one in every run. Incus says
/// of 0 that there is none, so 0 becomes 1.
#[must_use]
pub fn metadata_yaml(config: &Config, system: &System, created: u64) -> String {
    let name = config.host_name();
    let of = if system.name.is_empty() {
        "container from OpenVZ"
    } else {
        &system.name
    };
    let description = match &name {
        Some(name) => format!("{name}, {of}"),
        None => of.to_owned(),
    };
    let mut properties = vec![("description", description)];
    for (key, value) in [("os", &system.id), ("release", &system.version)] {
        if !value.is_empty() {
            properties.push((key, value.clone()));
        }
    }
    properties.extend(name.map(|name| ("name", name)));
    let created = created.max(1);
    let architecture = system.architecture.unwrap_or("x86_64");
    let mut text = format!("architecture: {architecture}\ncreation_date: {created}\nproperties:\n");
    for (key, value) in properties {
        text.push_str(&format!("  {key}: {}\n", quoted(&value)));
    }
    text
}

/// A YAML string in double quotes.
fn quoted(text: &str) -> String {
    let mut quoted = "\"".to_owned();
    for c in text.chars() {
        match c {
            '"' | '\\' => quoted.extend(['\\', c]),
            c if crate::util::text::is_unsafe(c) => {
                quoted.push_str(&format!("\\U{:08x}", u32::from(c)));
            }
            c => quoted.push(c),
        }
    }
    quoted.push('"');
    quoted
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strings_are_strings_whatever_is_in_them() {
        assert_eq!(quoted("a: \"b\\\n"), r#""a: \"b\\\U0000000a""#);
        assert_eq!(quoted("yes"), "\"yes\"");
    }
}
