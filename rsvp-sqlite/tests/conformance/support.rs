//! What the suite asks of a file beside the store.

use std::fs;
use std::path::Path;
use std::sync::Arc;

use rsvp_core::{EventId, RsvpStore};
use rsvp_sqlite::{SqliteConfig, SqliteStore};
use rsvp_testkit::Subject;

/// Stores in files of one folder, within what `layer` puts around them. The suite may take the folder
/// away, and a count of each file may be damaged.
pub(crate) async fn subject<S: RsvpStore + 'static>(
    files: usize,
    layer: impl FnOnce(Vec<Arc<dyn RsvpStore>>) -> S,
) -> Subject {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("data");
    fs::create_dir(&path).unwrap();
    let mut stores: Vec<Arc<dyn RsvpStore>> = Vec::new();
    let mut paths = Vec::new();
    for n in 0..files {
        let file = path.join(format!("{n}.db"));
        stores.push(Arc::new(SqliteStore::open(SqliteConfig::new(&file)).await.unwrap()));
        paths.push(file);
    }
    let stop = {
        let (path, away) = (path.clone(), folder.path().join("away"));
        async move || fs::rename(path, away).unwrap()
    };
    let refused = EventId::new("its count is damaged").unwrap();
    let refuse = {
        let event = refused.clone();
        async move || paths.iter().for_each(|path| damage_count(path, &event))
    };
    Subject::from(layer(stores)).stopped_by(stop).refusing(refused, refuse).holding(folder)
}

/// Something else has written a count that cannot be.
fn damage_count(path: &Path, event: &EventId) {
    let connection = rusqlite::Connection::open(path).unwrap();
    connection.busy_timeout(std::time::Duration::from_secs(5)).unwrap();
    let sql = "INSERT INTO events (name, count) VALUES (?1, -1)";
    connection.execute(sql, [event.as_str()]).unwrap();
}
