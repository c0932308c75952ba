//! Finding models: local folders, the cache, and a stand-in hub on a local port.

mod server;

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::path::Path;
use std::sync::{Arc, Mutex};

use pellucid_hub::{
    DownloadEvent, DownloadProgress, FileSelection, HubEnvironment, HubError, HubOptions, ModelFolder,
    ModelOrigin, ModelSource, Token,
};

use server::{Behaviour, COMMIT, Server};

const NAME: &str = "org/tiny";

fn options(cache: &Path, endpoint: &str) -> HubOptions {
    let environment = HubEnvironment {
        cache: Some(cache.to_owned()),
        token: None,
        endpoint: endpoint.to_owned(),
        offline: false,
    };
    HubOptions { retries: 0, ..HubOptions::new(environment) }
}

fn offline(options: &HubOptions) -> HubOptions {
    let mut options = options.clone();
    options.environment.offline = true;
    options
}

/// Files of a small model, with one that nobody needs.
fn files() -> BTreeMap<String, Vec<u8>> {
    let weights: Vec<u8> = (0..100_000_u32).map(|value| value as u8).collect();
    [
        ("config.json", br#"{"model_type": "tiny"}"#.to_vec()),
        ("tokenizer.json", b"{}".to_vec()),
        ("generation_config.json", br#"{"eos_token_id": 5}"#.to_vec()),
        ("model.safetensors", weights.clone()),
        ("pytorch_model.bin", weights),
        ("README.md", b"words".to_vec()),
    ]
    .into_iter()
    .map(|(name, content)| (name.to_owned(), content))
    .collect()
}

fn serve(files: BTreeMap<String, Vec<u8>>) -> (Server, tempfile::TempDir, HubOptions) {
    let server = Server::start(Behaviour { name: NAME.into(), files, ..Behaviour::default() });
    let cache = tempfile::tempdir().unwrap();
    let options = options(cache.path(), &server.endpoint);
    (server, cache, options)
}

fn content(folder: &ModelFolder, file: &str) -> Vec<u8> {
    std::fs::read(folder.path().join(file)).unwrap()
}

#[test]
fn only_the_needed_files_are_downloaded_and_the_second_time_none() {
    let (server, _cache, options) = serve(files());
    let folder = ModelSource::resolve(NAME, &options).unwrap();
    assert_eq!(folder.origin(), &ModelOrigin::Hub { commit: COMMIT.into() });
    assert_eq!(content(&folder, "model.safetensors"), files()["model.safetensors"]);
    assert_eq!(folder.config().unwrap()["model_type"], "tiny");
    assert_eq!(folder.generation_config().unwrap().eos_token_ids, [5]);
    assert_eq!(
        server.take_files(),
        ["config.json", "generation_config.json", "tokenizer.json", "model.safetensors"]
    );

    let again = ModelSource::resolve(NAME, &options).unwrap();
    assert_eq!(again.origin(), &ModelOrigin::Cache { commit: COMMIT.into() });
    assert_eq!(again.path(), folder.path());
    assert!(server.behaviour.lock().unwrap().requests.is_empty());
    assert_eq!(ModelSource::resolve(NAME, &offline(&options)).unwrap().path(), folder.path());
}

#[test]
fn config_only_leaves_the_weights_where_they_are() {
    let (server, _cache, mut options) = serve(files());
    options.files = FileSelection::ConfigOnly;
    let folder = ModelSource::resolve(NAME, &options).unwrap();
    assert!(folder.file("config.json").is_some() && folder.file("model.safetensors").is_none());
    server.take_files();

    options.files = FileSelection::All;
    ModelSource::resolve(NAME, &options).unwrap();
    assert_eq!(server.take_files(), ["model.safetensors"]);
}

#[test]
fn shards_are_downloaded_as_the_index_names_them() {
    let mut files = files();
    files.remove("model.safetensors");
    files.remove("pytorch_model.bin");
    let index = r#"{"weight_map": {"a": "model-1.safetensors", "b": "model-2.safetensors"}}"#;
    files.insert("model.safetensors.index.json".into(), index.into());
    files.insert("model-1.safetensors".into(), vec![1; 10]);
    files.insert("model-2.safetensors".into(), vec![2; 20]);
    files.insert("model-3.safetensors".into(), vec![3; 30]);
    let (server, _cache, options) = serve(files);
    let folder = ModelSource::resolve(NAME, &options).unwrap();
    assert_eq!(content(&folder, "model-2.safetensors"), [2; 20]);
    assert!(folder.file("model-3.safetensors").is_none());

    std::fs::remove_file(folder.path().join("model-1.safetensors")).unwrap();
    let error = ModelSource::resolve(NAME, &offline(&options)).unwrap_err();
    assert!(
        matches!(&error, HubError::NotCached { missing, .. } if missing == &["model-1.safetensors"]),
        "{error:?}"
    );
    server.take_files();
    ModelSource::resolve(NAME, &options).unwrap();
    assert_eq!(server.take_files(), ["model-1.safetensors"]);
}

#[test]
fn an_unknown_model_names_the_hub_and_hints_at_the_spelling() {
    let (server, _cache, options) = serve(files());
    let error = ModelSource::resolve("org/tyni", &options).unwrap_err();
    assert!(matches!(&error, HubError::UnknownModel { .. }), "{error:?}");
    let expected = format!("the hub at `{}` has no model `org/tyni` with revision `main`", server.endpoint);
    assert_eq!(error.to_string(), expected);
    assert!(error.hint().unwrap().contains("spelling"));
}

#[test]
fn a_gated_model_asks_for_a_token_and_takes_the_right_one() {
    let (server, _cache, mut options) = serve(files());
    server.behaviour.lock().unwrap().token = Some("right".into());
    let error = ModelSource::resolve(NAME, &options).unwrap_err();
    assert!(matches!(error, HubError::AccessDenied { status: 401, token_given: false, .. }), "{error:?}");
    assert!(error.hint().unwrap().contains("set `HF_TOKEN`"));

    options.environment.token = Token::new("wrong");
    let error = ModelSource::resolve(NAME, &options).unwrap_err();
    assert!(matches!(error, HubError::AccessDenied { token_given: true, .. }), "{error:?}");
    assert!(error.hint().unwrap().contains("has no access"));

    options.environment.token = Token::new("right");
    ModelSource::resolve(NAME, &options).unwrap();
}

#[test]
fn a_forbidden_model_and_a_failing_hub_are_told_apart() {
    let (server, _cache, options) = serve(files());
    for (status, expected) in [(403, "refuses access"), (500, "answered HTTP 500 for `model index`")] {
        server.behaviour.lock().unwrap().status = Some(status);
        let error = ModelSource::resolve(NAME, &options).unwrap_err();
        assert!(error.to_string().contains(expected), "{error}");
        assert!(error.hint().is_some());
    }
}

#[test]
fn a_hub_that_is_not_there_is_a_download_error() {
    let cache = tempfile::tempdir().unwrap();
    // Bound and closed again, so that nobody listens.
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let error =
        ModelSource::resolve(NAME, &options(cache.path(), &format!("http://127.0.0.1:{port}"))).unwrap_err();
    assert!(matches!(&error, HubError::Download { .. }), "{error:?}");
    let error = ModelSource::resolve(NAME, &options(cache.path(), "hub.example")).unwrap_err();
    assert!(matches!(&error, HubError::InvalidEndpoint { .. }), "{error:?}");
}

#[test]
fn a_cut_download_is_an_error_and_never_taken_for_complete() {
    let (server, cache, options) = serve(files());
    server.behaviour.lock().unwrap().cut = Some("model.safetensors".into());
    let error = ModelSource::resolve(NAME, &options).unwrap_err();
    assert!(matches!(&error, HubError::Download { file, .. } if file == "model.safetensors"), "{error:?}");
    let error = ModelSource::resolve(NAME, &offline(&options)).unwrap_err();
    assert!(
        matches!(&error, HubError::NotCached { missing, .. } if missing == &["weight files"]),
        "{error:?}"
    );
    let part = cache.path().join("models--org--tiny/blobs/etag-of-model-safetensors.part");
    assert_eq!(std::fs::metadata(&part).unwrap().len(), 50_000);

    server.behaviour.lock().unwrap().cut = None;
    let folder = ModelSource::resolve(NAME, &options).unwrap();
    assert_eq!(content(&folder, "model.safetensors"), files()["model.safetensors"]);
    assert!(!part.exists());
}

#[test]
fn a_server_that_sends_the_whole_file_again_is_noticed_and_leaves_nothing() {
    let (server, _cache, options) = serve(files());
    server.behaviour.lock().unwrap().cut = Some("model.safetensors".into());
    ModelSource::resolve(NAME, &options).unwrap_err();
    {
        let mut behaviour = server.behaviour.lock().unwrap();
        behaviour.cut = None;
        behaviour.ignores_ranges = true;
    }
    let error = ModelSource::resolve(NAME, &options).unwrap_err();
    assert!(
        matches!(&error, HubError::DownloadMismatch { expected, got, .. } if expected == "100000 bytes" && got == "150000 bytes"),
        "{error:?}"
    );
    assert!(ModelSource::resolve(NAME, &offline(&options)).is_err());
    let folder = ModelSource::resolve(NAME, &options).unwrap();
    assert_eq!(content(&folder, "model.safetensors"), files()["model.safetensors"]);
}

#[test]
fn offline_with_nothing_cached_names_what_was_looked_for_and_where() {
    let (server, cache, options) = serve(files());
    let error = ModelSource::resolve(NAME, &offline(&options)).unwrap_err();
    let place = cache.path().join("models--org--tiny");
    let text = error.to_string();
    assert!(
        text.contains("`org/tiny` (revision `main`)") && text.contains(place.to_str().unwrap()),
        "{text}"
    );
    assert!(error.hint().unwrap().contains("HF_HUB_OFFLINE"));
    assert!(server.behaviour.lock().unwrap().requests.is_empty());
}

/// Remembers the events, and cancels at a number of bytes.
struct Recorder {
    events: Mutex<Vec<String>>,
    cancel_at: u64,
}

impl DownloadProgress for Recorder {
    fn on_event(&self, event: DownloadEvent<'_>) -> ControlFlow<()> {
        let mut events = self.events.lock().unwrap();
        match event {
            DownloadEvent::Started { file, total } => events.push(format!("start {file} {total}")),
            DownloadEvent::Finished { file, total } => events.push(format!("end {file} {total}")),
            DownloadEvent::Advanced { received, total, .. } => {
                assert!(received <= total);
                if received >= self.cancel_at {
                    return ControlFlow::Break(());
                }
            }
            _ => {}
        }
        ControlFlow::Continue(())
    }
}

#[test]
fn progress_is_told_file_by_file() {
    let (_server, _cache, mut options) = serve(files());
    let recorder = Arc::new(Recorder { events: Mutex::default(), cancel_at: u64::MAX });
    options.progress = Some(recorder.clone());
    ModelSource::resolve(NAME, &options).unwrap();
    let events = recorder.events.lock().unwrap();
    assert_eq!(events[..2], ["start config.json 22", "end config.json 22"]);
    assert_eq!(
        events[events.len() - 2..],
        ["start model.safetensors 100000", "end model.safetensors 100000"]
    );
}

#[test]
fn a_cancelled_download_stops_and_can_be_continued() {
    let (_server, _cache, mut options) = serve(files());
    options.progress = Some(Arc::new(Recorder { events: Mutex::default(), cancel_at: 1000 }));
    let error = ModelSource::resolve(NAME, &options).unwrap_err();
    assert!(matches!(&error, HubError::Cancelled { file, .. } if file == "model.safetensors"), "{error:?}");
    assert!(ModelSource::resolve(NAME, &offline(&options)).is_err());
    options.progress = None;
    let folder = ModelSource::resolve(NAME, &options).unwrap();
    assert_eq!(content(&folder, "model.safetensors"), files()["model.safetensors"]);
}

#[test]
fn a_snapshot_without_a_tokenizer_is_used_when_the_hub_cannot_be_reached() {
    let mut files = files();
    files.remove("tokenizer.json");
    let (server, _cache, options) = serve(files);
    let folder = ModelSource::resolve(NAME, &options).unwrap();
    server.behaviour.lock().unwrap().status = Some(503);
    assert_eq!(ModelSource::resolve(NAME, &options).unwrap().path(), folder.path());
}

#[test]
fn a_cache_written_by_python_is_read_by_branch_and_by_commit() {
    let cache = tempfile::tempdir().unwrap();
    let model = cache.path().join("models--gpt2");
    let snapshot = model.join("snapshots/abc123");
    for folder in ["refs", "blobs"] {
        std::fs::create_dir_all(model.join(folder)).unwrap();
    }
    std::fs::create_dir_all(&snapshot).unwrap();
    std::fs::write(model.join("refs/main"), "abc123").unwrap();
    for file in ["config.json", "pytorch_model.bin"] {
        std::fs::write(snapshot.join(file), "{}").unwrap();
    }
    let mut options = offline(&options(cache.path(), "http://127.0.0.1:1"));
    for revision in [None, Some("main"), Some("abc123")] {
        options.revision = revision.map(str::to_owned);
        assert_eq!(ModelSource::resolve("gpt2", &options).unwrap().path(), snapshot);
    }
    options.revision = Some("v2".into());
    assert!(matches!(ModelSource::resolve("gpt2", &options).unwrap_err(), HubError::NotCached { .. }));
    options.revision = Some("../main".into());
    assert!(matches!(ModelSource::resolve("gpt2", &options).unwrap_err(), HubError::InvalidRevision { .. }));
}

#[test]
fn a_local_folder_needs_a_config_and_no_network() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().to_str().unwrap();
    let options = options(&folder.path().join("cache"), "http://127.0.0.1:1");
    let error = ModelSource::resolve(path, &options).unwrap_err();
    assert!(matches!(&error, HubError::MissingFile { file, .. } if file == "`config.json`"), "{error:?}");
    std::fs::write(folder.path().join("config.json"), "{}").unwrap();
    assert_eq!(ModelSource::resolve(path, &options).unwrap().origin(), &ModelOrigin::Local);
    let error = ModelSource::resolve("./no/such/folder", &options).unwrap_err();
    assert!(matches!(&error, HubError::FolderNotFound { .. }), "{error:?}");
    let error = ModelSource::resolve("no such model", &options).unwrap_err();
    assert!(matches!(&error, HubError::InvalidModelName { .. }), "{error:?}");
}
