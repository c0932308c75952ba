//! The environment variables of the Hugging Face tools, read in one place.

use std::ffi::OsString;
use std::fmt;
use std::path::PathBuf;

/// A hub access token. Printing it shows only that there is one.
#[derive(Clone, PartialEq, Eq)]
pub struct Token(String);

impl Token {
    /// Wraps a token's text; surrounding white space is dropped, and an empty text is no token.
    pub fn new(text: &str) -> Option<Self> {
        let text = text.trim();
        (!text.is_empty()).then(|| Self(text.to_owned()))
    }

    pub(crate) fn secret(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(hidden)")
    }
}

/// Where models are cached and how the hub is reached.
///
/// [`HubEnvironment::from_env`] is the only place of this crate that reads environment variables; everything else
/// takes this struct, so that tests and servers pass their own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HubEnvironment {
    /// The folder that holds `models--org--name` folders; none if no variable and no home folder is set.
    ///
    /// First of `HF_HUB_CACHE`, `HUGGINGFACE_HUB_CACHE`, `$HF_HOME/hub`, `$XDG_CACHE_HOME/huggingface/hub`,
    /// `~/.cache/huggingface/hub`.
    pub cache: Option<PathBuf>,
    /// Sent to the hub with every request.
    ///
    /// First of `HF_TOKEN`, `HUGGING_FACE_HUB_TOKEN`, the file `HF_TOKEN_PATH`, the file `$HF_HOME/token`. None when
    /// `HF_HUB_DISABLE_IMPLICIT_TOKEN` is true.
    pub token: Option<Token>,
    /// The hub's address: `HF_ENDPOINT`, by default `https://huggingface.co`.
    pub endpoint: String,
    /// Never touch the network: `HF_HUB_OFFLINE` or `TRANSFORMERS_OFFLINE` is `1`, `true`, `yes` or `on`.
    pub offline: bool,
}

/// The public hub.
const PUBLIC_ENDPOINT: &str = "https://huggingface.co";

impl HubEnvironment {
    /// Reads the variables of the running process, and the token file.
    pub fn from_env() -> Self {
        Self::from_variables(|name| std::env::var_os(name))
    }

    /// Reads the variables through `variable`, and the token file.
    ///
    /// ```
    /// use pellucid_hub::HubEnvironment;
    ///
    /// let environment = HubEnvironment::from_variables(|name| match name {
    ///     "HF_HOME" => Some("/models".into()),
    ///     "HF_HUB_OFFLINE" => Some("1".into()),
    ///     _ => None,
    /// });
    /// assert_eq!(environment.cache.as_deref(), Some(std::path::Path::new("/models/hub")));
    /// assert!(environment.offline);
    /// ```
    pub fn from_variables(variable: impl Fn(&str) -> Option<OsString>) -> Self {
        let set = |name: &str| variable(name).filter(|value| !value.is_empty());
        let path = |name: &str| set(name).map(PathBuf::from);
        let text = |name: &str| set(name).and_then(|value| value.into_string().ok());
        let truth = |name: &str| {
            text(name).is_some_and(|value| {
                matches!(value.to_ascii_lowercase().as_str(), "1" | "true" | "yes" | "on")
            })
        };

        let home = path("HF_HOME")
            .or_else(|| path("XDG_CACHE_HOME").map(|cache| cache.join("huggingface")))
            .or_else(|| {
                let user = path("HOME").or_else(|| path("USERPROFILE"))?;
                Some(user.join(".cache").join("huggingface"))
            });
        let cache = path("HF_HUB_CACHE")
            .or_else(|| path("HUGGINGFACE_HUB_CACHE"))
            .or_else(|| home.as_ref().map(|home| home.join("hub")));
        let token_file = path("HF_TOKEN_PATH").or_else(|| home.as_ref().map(|home| home.join("token")));
        let token = if truth("HF_HUB_DISABLE_IMPLICIT_TOKEN") {
            None
        } else {
            text("HF_TOKEN")
                .or_else(|| text("HUGGING_FACE_HUB_TOKEN"))
                .and_then(|text| Token::new(&text))
                .or_else(|| Token::new(&read_token(&token_file?)?))
        };

        Self {
            cache,
            token,
            endpoint: text("HF_ENDPOINT").unwrap_or_else(|| PUBLIC_ENDPOINT.to_owned()),
            offline: truth("HF_HUB_OFFLINE") || truth("TRANSFORMERS_OFFLINE"),
        }
    }
}

/// The token file's text; a file that is missing, unreadable or implausibly large is no token.
fn read_token(path: &std::path::Path) -> Option<String> {
    let size = std::fs::metadata(path).ok()?.len();
    if size > 4096 {
        return None;
    }
    std::fs::read_to_string(path).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(variables: &[(&str, &str)]) -> HubEnvironment {
        HubEnvironment::from_variables(|name| {
            let (_, value) = variables.iter().find(|(key, _)| *key == name)?;
            Some(OsString::from(value))
        })
    }

    #[test]
    fn the_cache_variable_outranks_the_home_variable_and_the_user_folder() {
        let all = [("HOME", "/u"), ("HF_HOME", "/h"), ("HF_HUB_CACHE", "/c")];
        assert_eq!(read(&all).cache, Some(PathBuf::from("/c")));
        assert_eq!(read(&all[..2]).cache, Some(PathBuf::from("/h/hub")));
        assert_eq!(read(&all[..1]).cache, Some(PathBuf::from("/u/.cache/huggingface/hub")));
        assert_eq!(read(&[]).cache, None);
    }

    #[test]
    fn the_token_variable_outranks_the_token_file() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("token"), "from-file\n").unwrap();
        let home = folder.path().to_str().unwrap();
        assert_eq!(read(&[("HF_HOME", home)]).token, Token::new("from-file"));
        assert_eq!(read(&[("HF_HOME", home), ("HF_TOKEN", "direct")]).token, Token::new("direct"));
        let disabled = [("HF_TOKEN", "direct"), ("HF_HUB_DISABLE_IMPLICIT_TOKEN", "1")];
        assert_eq!(read(&disabled).token, None);
    }

    #[test]
    fn printing_the_environment_does_not_show_the_token() {
        let shown = format!("{:?}", read(&[("HF_TOKEN", "hf_secret")]));
        assert!(!shown.contains("hf_secret"), "{shown}");
    }

    #[test]
    fn offline_is_a_truth_word_and_the_endpoint_has_a_default() {
        assert!(read(&[("HF_HUB_OFFLINE", "ON")]).offline);
        assert!(!read(&[("HF_HUB_OFFLINE", "0")]).offline);
        assert_eq!(read(&[]).endpoint, "https://huggingface.co");
        assert_eq!(read(&[("HF_ENDPOINT", "http://mirror")]).endpoint, "http://mirror");
    }
}
