//! What must hold whatever a configuration or the environment says. Called by tests/fuzz, and by nobody else.

use std::path::Path;

use super::{Config, Place, Problems, parse};

fn read(text: &str, variable: Option<(&str, &str)>) -> Result<Config, Problems> {
    let environment = variable.map(|(name, value)| (format!("GATEWARDEN_{name}"), value.to_owned()));
    parse(text, Path::new("g.toml"), environment.into_iter())
}

/// A configuration is understood, or every problem has its line and is said briefly, and says so each time.
pub fn configuration(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    match read(text, None) {
        Ok(config) => {
            assert!(!config.listeners.is_empty() && !config.routes.is_empty() && !config.directories.is_empty());
            for route in &config.routes {
                assert!(route.path.value.starts_with('/'));
                assert!(route.upstream.as_ref().is_none_or(|name| config.upstreams.contains_key(name)));
            }
            assert_eq!(format!("{config:?}"), format!("{:?}", read(text, None).expect("it was good before")));
        }
        Err(problems) => judge(&problems, text),
    }
}

fn judge(problems: &Problems, text: &str) {
    assert!(!problems.is_empty());
    let last = 1 + text.bytes().filter(|b| *b == b'\n').count();
    for problem in problems.iter() {
        assert!(
            matches!(problem.place, Place::File { line, .. } if line <= last)
                || matches!(problem.place, Place::Environment { .. }),
            "{problem}"
        );
        assert!(!problem.fix.is_empty() && !problem.what.is_empty());
        assert!(problem.to_string().lines().count() == 1, "{problem:?}");
        assert!(problem.to_string().len() < 16 * 1024 + text.len());
    }
}

/// A variable changes one key or is a problem of its own: `NAME=value` behind the least that is a configuration.
pub fn environment(bytes: &[u8]) {
    const LEAST: &str = "[[listeners]]\naddress = \"127.0.0.1:0\"\ntls = false\n[[directories]]\nkind = \"file\"\npath = \"u\"\n\
        [upstreams.api]\nservers = [\"http://127.0.0.1:1\"]\n[[routes]]\npath = \"/\"\nupstream = \"api\"\n";
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let Some((name, value)) = text.split_once('=') else { return };
    let (without, with) = (read(LEAST, None).expect("it is right"), read(LEAST, Some((name, value))));
    match with {
        Ok(with) => assert!(name.contains("__") || format!("{with:?}") == format!("{without:?}"), "{text}"),
        Err(problems) => judge(&problems, LEAST),
    }
}
