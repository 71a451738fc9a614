//! What was written reaches the disk while the recording goes on, so that a power cut costs no more than a kill.
//!
//! A thread of its own waits for the disk, which may take seconds where others write much: the recorder does not.

use std::fs::File;
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, OnceLock};
use std::thread;

use crate::privileges;

/// The thread's orders.
#[derive(Debug)]
pub(super) struct Durable {
    orders: SyncSender<File>,
    failed: Arc<OnceLock<String>>,
    told: bool,
}

impl Durable {
    /// Starts the thread for the case in a folder.
    pub(super) fn start(case: &Path) -> io::Result<Durable> {
        let folder = File::open(case)?;
        let (orders, inbox) = sync_channel(1);
        let failed = Arc::new(OnceLock::new());
        let tell = failed.clone();
        thread::Builder::new().name("case-sync".to_owned()).spawn(move || {
            // Where that is refused it goes on with what it has.
            let _ = privileges::keep_only(0);
            if let Err(error) = work(&folder, &inbox) {
                // Only this thread sets it.
                let _ = tell.set(error.to_string());
            }
        })?;
        Ok(Durable {
            orders,
            failed,
            told: false,
        })
    }

    /// Has the segment's file made durable as it is now, or as it is when the disk is done with an earlier order.
    pub(super) fn order(&self, segment: io::Result<File>) {
        if let Ok(file) = segment {
            // The thread is busy, and an order waits already: the file is the same, or will be.
            let _ = self.orders.try_send(file);
        }
    }

    /// Why the disk refuses, once.
    pub(super) fn failure(&mut self) -> Option<&str> {
        let error = self.failed.get().filter(|_| !self.told)?;
        self.told = true;
        Some(error)
    }
}

/// Until nobody gives orders any more.
fn work(folder: &File, orders: &Receiver<File>) -> io::Result<()> {
    let mut named = None;
    for file in orders {
        file.sync_data()?;
        // A file that nobody finds is lost.
        let ino = file.metadata()?.ino();
        if named.replace(ino) != Some(ino) {
            folder.sync_all()?;
        }
    }
    Ok(())
}
