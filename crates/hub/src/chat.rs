//! Chat templates: from messages to the text that a chat model was trained on.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use minijinja::value::Kwargs;
use minijinja::{Environment, ErrorKind, Value as TemplateValue};
use serde_json::{Map, Value, json};

use crate::error::{HubError, Result};
use crate::json::{CONFIG_LIMIT, read_bytes, wrong_field};
use crate::tokenizer::TokenizerConfig;

/// The most steps that rendering may take; a hostile template could loop for ever.
const FUEL: u64 = 20_000_000;

/// One message of a conversation.
#[derive(Debug, Clone, PartialEq)]
pub struct ChatMessage {
    /// Who speaks: `system`, `user`, `assistant`, or what the template knows.
    pub role: String,
    /// What is said: a text, or what the template knows.
    pub content: Value,
    /// Further fields, such as `tool_calls`.
    pub extra: Map<String, Value>,
}

impl ChatMessage {
    /// A message with a text.
    pub fn new(role: impl Into<String>, text: impl Into<String>) -> Self {
        Self { role: role.into(), content: Value::String(text.into()), extra: Map::new() }
    }

    fn to_json(&self) -> Value {
        let mut fields = Map::new();
        fields.insert("role".into(), Value::String(self.role.clone()));
        fields.insert("content".into(), self.content.clone());
        fields.extend(self.extra.clone());
        Value::Object(fields)
    }
}

/// How to render a conversation.
#[derive(Debug, Clone, Default)]
pub struct ChatOptions {
    /// Ends the text where the assistant's answer begins.
    pub add_generation_prompt: bool,
    /// The template of this name, where the folder has several; otherwise `default`.
    pub template: Option<String>,
    /// Further variables for the template, such as `tools`.
    pub variables: Map<String, Value>,
    /// What `strftime_now` takes for the time; the computer's clock and time zone by default.
    pub now: Option<jiff::civil::DateTime>,
}

/// The chat templates of a model folder.
#[derive(Debug, Clone)]
pub struct ChatTemplate {
    folder: PathBuf,
    templates: BTreeMap<String, Template>,
    bos: Option<String>,
    eos: Option<String>,
    pad: Option<String>,
    unk: Option<String>,
}

#[derive(Debug, Clone)]
struct Template {
    path: PathBuf,
    source: String,
}

impl ChatTemplate {
    /// Reads `chat_template.jinja`, or `chat_template` of `tokenizer_config.json`: one text, or a list of named ones.
    ///
    /// # Errors
    ///
    /// [`HubError::NoChatTemplate`] when there is none, and the errors of reading the files.
    pub fn load(folder: &Path) -> Result<Self> {
        let config = TokenizerConfig::load(folder)?;
        let mut templates = BTreeMap::new();
        if let Some((path, value)) = &config.chat_template {
            read_templates(path, value, &mut templates)?;
        }
        let path = folder.join("chat_template.jinja");
        if path.exists() {
            let source = String::from_utf8_lossy(&read_bytes(&path, CONFIG_LIMIT)?).into_owned();
            templates.insert(DEFAULT.to_owned(), Template { path, source });
        }
        if templates.is_empty() {
            return Err(HubError::NoChatTemplate {
                folder: folder.to_owned(),
                name: None,
                known: Vec::new(),
            });
        }
        let TokenizerConfig { bos, eos, pad, unk, .. } = config;
        Ok(Self { folder: folder.to_owned(), templates, bos, eos, pad, unk })
    }

    /// The names of the templates; `default` is the one used when none is asked for.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.templates.keys().map(String::as_str)
    }

    /// Renders a conversation to the text to be encoded (without adding special tokens: the template wrote them).
    ///
    /// # Errors
    ///
    /// [`HubError::NoChatTemplate`] for an unknown name, [`HubError::ChatRefused`] with the template's own words, and
    /// [`HubError::ChatTemplate`] with the template's line.
    pub fn render(&self, messages: &[ChatMessage], options: &ChatOptions) -> Result<String> {
        let name = options.template.as_deref().unwrap_or(DEFAULT);
        let Some(template) = self.templates.get(name) else {
            return Err(HubError::NoChatTemplate {
                folder: self.folder.clone(),
                name: Some(name.to_owned()),
                known: self.names().map(str::to_owned).collect(),
            });
        };
        let mut variables = options.variables.clone();
        for (name, text) in [
            ("bos_token", &self.bos),
            ("eos_token", &self.eos),
            ("pad_token", &self.pad),
            ("unk_token", &self.unk),
        ] {
            if let Some(text) = text {
                variables.insert(name.into(), Value::String(text.clone()));
            }
        }
        variables.insert("messages".into(), messages.iter().map(ChatMessage::to_json).collect());
        variables.insert("add_generation_prompt".into(), options.add_generation_prompt.into());
        for absent in ["tools", "documents"] {
            variables.entry(absent).or_insert(Value::Null);
        }

        let environment = environment(options.now);
        let rendered = environment
            .template_from_str(&template.source)
            .and_then(|template| template.render(TemplateValue::from_serialize(&variables)));
        rendered.map_err(|error| {
            refusal(&error).unwrap_or_else(|| HubError::ChatTemplate {
                path: template.path.clone(),
                line: error.line().unwrap_or(0),
                problem: error.detail().map_or_else(|| error.kind().to_string(), str::to_owned),
            })
        })
    }
}

const DEFAULT: &str = "default";

fn read_templates(path: &Path, value: &Value, templates: &mut BTreeMap<String, Template>) -> Result<()> {
    let mut insert = |name: &str, source: &str| {
        templates.insert(name.to_owned(), Template { path: path.to_owned(), source: source.to_owned() });
    };
    let expected = "a text, or a list of objects with `name` and `template`";
    match value {
        Value::Null => {}
        Value::String(source) => insert(DEFAULT, source),
        Value::Array(items) => {
            for item in items {
                match (item.get("name").and_then(Value::as_str), item.get("template").and_then(Value::as_str))
                {
                    (Some(name), Some(source)) => insert(name, source),
                    _ => return Err(wrong_field(path, "chat_template", expected, item)),
                }
            }
        }
        other => return Err(wrong_field(path, "chat_template", expected, other)),
    }
    Ok(())
}

/// The template language as `transformers` sets it up.
fn environment(now: Option<jiff::civil::DateTime>) -> Environment<'static> {
    let mut environment = Environment::new();
    environment.set_trim_blocks(true);
    environment.set_lstrip_blocks(true);
    environment.set_fuel(Some(FUEL));
    environment.set_recursion_limit(100);
    environment.set_unknown_method_callback(minijinja_contrib::pycompat::unknown_method_callback);
    environment.add_filter("tojson", to_json);
    environment.add_function(
        "raise_exception",
        |message: String| -> std::result::Result<String, minijinja::Error> {
            Err(minijinja::Error::new(ErrorKind::InvalidOperation, "raised").with_source(Raised(message)))
        },
    );
    environment.add_function("strftime_now", move |format: String| {
        let now = now.unwrap_or_else(|| jiff::Zoned::now().datetime());
        jiff::fmt::strtime::format(&format, now)
            .map_err(|error| minijinja::Error::new(ErrorKind::InvalidOperation, error.to_string()))
    });
    environment
}

/// What a template passed to `raise_exception`.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
struct Raised(String);

fn refusal(error: &minijinja::Error) -> Option<HubError> {
    let mut source = std::error::Error::source(error);
    while let Some(inner) = source {
        if let Some(Raised(message)) = inner.downcast_ref() {
            return Some(HubError::ChatRefused { message: message.clone() });
        }
        source = inner.source();
    }
    None
}

/// Python's `json.dumps` with `ensure_ascii=False`: a space after `,` and `:`, or one item a line with `indent`.
fn to_json(value: &TemplateValue, kwargs: Kwargs) -> std::result::Result<TemplateValue, minijinja::Error> {
    let indent: Option<usize> = kwargs.get("indent")?;
    kwargs.assert_all_used()?;
    let value = serde_json::to_value(value)
        .map_err(|error| minijinja::Error::new(ErrorKind::BadSerialization, error.to_string()))?;
    let mut out = String::new();
    write_json(&value, indent.map(|indent| indent.min(16)), 0, &mut out);
    Ok(TemplateValue::from_safe_string(out))
}

fn write_json(value: &Value, indent: Option<usize>, depth: usize, out: &mut String) {
    let (open, close, items): (char, char, Vec<(Option<&String>, &Value)>) = match value {
        Value::Array(items) => ('[', ']', items.iter().map(|item| (None, item)).collect()),
        Value::Object(fields) => ('{', '}', fields.iter().map(|(key, item)| (Some(key), item)).collect()),
        scalar => return out.push_str(&scalar.to_string()),
    };
    let new_line = |depth: usize, out: &mut String| {
        if let Some(indent) = indent {
            out.push('\n');
            out.push_str(&" ".repeat(indent * depth));
        }
    };
    out.push(open);
    for (index, (key, item)) in items.iter().enumerate() {
        if index > 0 {
            out.push_str(if indent.is_some() { "," } else { ", " });
        }
        new_line(depth + 1, out);
        if let Some(key) = key {
            out.push_str(&json!(key).to_string());
            out.push_str(": ");
        }
        write_json(item, indent, depth + 1, out);
    }
    if !items.is_empty() {
        new_line(depth, out);
    }
    out.push(close);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folder(config: &Value) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("tokenizer_config.json"), config.to_string()).unwrap();
        folder
    }

    fn render(template: &str, messages: &[ChatMessage], options: &ChatOptions) -> Result<String> {
        let folder =
            folder(&json!({"chat_template": template, "bos_token": "<s>", "eos_token": {"content": "</s>"}}));
        ChatTemplate::load(folder.path())?.render(messages, options)
    }

    const INSTRUCT: &str = "{{ bos_token }}{% for message in messages %}
    {%- if message['role'] not in ['user', 'assistant'] %}{{ raise_exception('Only user and assistant roles, not ' + message['role']) }}{% endif %}
    {{- '[' + message.role.upper() + '] ' + message['content'].strip() + eos_token }}
{% endfor %}
{% if add_generation_prompt %}[ASSISTANT]{% endif %}";

    #[test]
    fn messages_are_rendered_with_special_tokens_and_python_methods() {
        let messages = [ChatMessage::new("user", " hi & bye "), ChatMessage::new("assistant", "hello")];
        let options = ChatOptions { add_generation_prompt: true, ..ChatOptions::default() };
        let text = render(INSTRUCT, &messages, &options).unwrap();
        assert_eq!(text, "<s>[USER] hi & bye</s>\n[ASSISTANT] hello</s>\n[ASSISTANT]");
    }

    #[test]
    fn raise_exception_refuses_with_the_words_of_the_template() {
        let error =
            render(INSTRUCT, &[ChatMessage::new("system", "x")], &ChatOptions::default()).unwrap_err();
        assert_eq!(
            error.to_string(),
            "the chat template refuses these messages: Only user and assistant roles, not system"
        );
    }

    #[test]
    fn a_broken_template_is_refused_with_its_line() {
        let error = render("ok\n{% for %}", &[], &ChatOptions::default()).unwrap_err();
        assert!(matches!(error, HubError::ChatTemplate { line: 2, .. }), "{error:?}");
    }

    #[test]
    fn an_endless_template_runs_out_of_fuel() {
        let endless = "{% for a in range(9999) %}{% for b in range(9999) %}{% for c in range(9999) %}{% endfor %}{% endfor %}{% endfor %}";
        let error = render(endless, &[], &ChatOptions::default()).unwrap_err();
        assert!(matches!(error, HubError::ChatTemplate { .. }), "{error:?}");
    }

    #[test]
    fn the_date_of_today_can_be_given() {
        let options = ChatOptions {
            now: Some(jiff::civil::date(2024, 7, 26).at(9, 5, 0, 0)),
            ..ChatOptions::default()
        };
        assert_eq!(
            render("{{ strftime_now('%d %b %Y %H:%M') }}", &[], &options).unwrap(),
            "26 Jul 2024 09:05"
        );
        assert_eq!(render("{{ strftime_now('%Y') }}", &[], &ChatOptions::default()).unwrap().len(), 4);
    }

    #[test]
    fn tojson_writes_what_python_writes() {
        let mut options = ChatOptions::default();
        options
            .variables
            .insert("tools".into(), json!([{"name": "é<f>", "n": [1, 2.5, null, true], "e": {}}]));
        assert_eq!(
            render("{{ tools | tojson }}", &[], &options).unwrap(),
            r#"[{"name": "é<f>", "n": [1, 2.5, null, true], "e": {}}]"#
        );
        assert_eq!(
            render("{{ tools[0]['n'] | tojson(indent=2) }}", &[], &options).unwrap(),
            "[\n  1,\n  2.5,\n  null,\n  true\n]"
        );
    }

    #[test]
    fn a_list_of_named_templates_has_a_default_and_a_file_outranks_it() {
        let folder = folder(&json!({"chat_template": [
            {"name": "default", "template": "D"}, {"name": "tool_use", "template": "T"}]}));
        let options = ChatOptions { template: Some("tool_use".into()), ..ChatOptions::default() };
        let template = ChatTemplate::load(folder.path()).unwrap();
        assert_eq!(template.render(&[], &options).unwrap(), "T");
        assert_eq!(template.render(&[], &ChatOptions::default()).unwrap(), "D");
        let options = ChatOptions { template: Some("rag".into()), ..ChatOptions::default() };
        let error = template.render(&[], &options).unwrap_err();
        assert_eq!(error.hint().unwrap(), "known templates: default, tool_use");

        std::fs::write(folder.path().join("chat_template.jinja"), "F").unwrap();
        let template = ChatTemplate::load(folder.path()).unwrap();
        assert_eq!(template.render(&[], &ChatOptions::default()).unwrap(), "F");
    }

    #[test]
    fn a_folder_without_a_template_says_so() {
        let folder = folder(&json!({}));
        let error = ChatTemplate::load(folder.path()).unwrap_err();
        assert!(error.to_string().ends_with("has no chat template"), "{error}");
    }
}
