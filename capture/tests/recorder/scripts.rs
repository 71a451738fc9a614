//! Scripts are executed files too: their digests and copies, compared with `sha256sum`.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;

use crate::artifacts::{artifacts, of, sha256sum};
use crate::case::{Row, closed, until_written};
use crate::docker::{IMAGE, collecting, engine};
use crate::run::{folder, let_files_rest, output, record};
use ctrace_skip::is_root;

fn script(folder: &Path, name: &str, text: &str) -> String {
    let path = folder.join(name);
    fs::write(&path, text).expect("room");
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).expect("ours");
    path.to_str().expect("UTF-8").to_owned()
}

fn scripts(case: &Path) -> Vec<Row> {
    let found = artifacts(case).into_iter();
    found.filter(|row| row.arg("kind") == "script").collect()
}

fn is(row: &Row, sha256: &str, name: &str) {
    let told = (row.arg("sha256"), row.arg("reason"), row.name.as_str());
    assert_eq!(told, (sha256, "", name), "{row:?}");
}

#[test]
fn scripts_have_digests_as_root() {
    if !is_root("scripts_have_digests_as_root") {
        return;
    }
    let dir = folder();
    let at = dir.path();
    let plain = script(at, "plain", "#!/bin/sh -e\ntrue\n");
    let by_env = script(at, "by-env", "#!/usr/bin/env bash\ntrue\n");
    let inner = script(at, "inner", "#!/bin/sh\ntrue\n");
    let outer = script(at, "outer", &format!("#!{inner}\nnot read by anybody\n"));
    let by_link = script(at, "by-link", "#!/bin/bash\ntrue # by a link\n");
    let ignored = script(at, "ignored", "#!/bin/true\n");
    let by_number = script(at, "by-number", "#!/bin/sh\ntrue # by a descriptor\n");
    symlink("by-link", at.join("link")).expect("a link");
    let_files_rest();
    let runs = format!(
        "cd {}; ./plain; {by_env}; {outer}; ./link; ./ignored; ./plain; exec 3<by-number; /proc/self/fd/3",
        at.display()
    );
    let case = at.join("case");
    record(&case, &["--sources", "syscalls", "--", "sh", "-c", &runs]).expect(0);
    let found = scripts(&case);
    for (path, name) in [
        (&plain, "plain"),
        (&by_env, "by-env"),
        (&inner, "outer"),
        (&by_link, "link"),
        (&by_number, "3"),
    ] {
        is(of(&found, path), &sha256sum(Path::new(path)), name);
    }
    for path in [&outer, &ignored] {
        let row = of(&found, path);
        let told = (row.arg("sha256"), row.arg("reason"));
        assert_eq!(told, ("", "its interpreter was not seen to open it"));
    }
    let of_folder = found
        .iter()
        .filter(|row| row.arg("path").starts_with(at.to_str().expect("UTF-8")));
    assert_eq!(of_folder.count(), 7);
    // The interpreter is an executable of its own.
    let all = artifacts(&case);
    let is_bash = |row: &&Row| row.arg("kind") == "executable" && row.arg("path").ends_with("/bash");
    let bash = all.iter().find(is_bash).expect("bash was executed");
    assert_eq!(bash.arg("sha256"), sha256sum(Path::new("/bin/bash")));
    closed(&case);
}

/// Whatever is done to scripts around their execution: what is told is true.
#[test]
fn a_script_that_changes_has_no_wrong_digest_as_root() {
    if !is_root("a_script_that_changes_has_no_wrong_digest_as_root") {
        return;
    }
    let dir = folder();
    let at = dir.path();
    let gone = script(at, "gone", "#!/bin/sh\nrm $0; sleep 1\n");
    let sha256 = sha256sum(Path::new(&gone));
    let_files_rest();
    let case = at.join("case");
    // One is written anew and again while it runs, within a tick; one removes itself.
    let runs = "cd $0; for i in $(seq 40); do printf '#!/bin/sh\n: %03d\n' $i >new; chmod +x new; ./new; printf '#!/bin/sh\n: wrong' >new; done; ./gone";
    let at_text = at.to_str().expect("UTF-8");
    record(
        &case,
        &["--sources", "syscalls", "--collect", "--", "sh", "-c", runs, at_text],
    )
    .expect(0);
    let found = scripts(&case);
    let written = at.join("written");
    let right: Vec<String> = (1..=40)
        .map(|i| {
            fs::write(&written, format!("#!/bin/sh\n: {i:03}\n")).expect("room");
            sha256sum(&written)
        })
        .collect();
    let new: Vec<&Row> = found
        .iter()
        .filter(|row| row.arg("path") == format!("{at_text}/new"))
        .collect();
    assert!(!new.is_empty(), "{found:?}");
    for row in new {
        let told = row.arg("sha256");
        assert!(
            right.iter().any(|r| r == told) || told.is_empty() && !row.arg("reason").is_empty(),
            "{row:?}"
        );
    }
    let gone = of(&found, &gone);
    let told = (gone.arg("sha256"), gone.arg("reason"));
    let said = told == (&sha256, "") || told.0.is_empty() && !told.1.is_empty();
    assert!(said, "{gone:?}");
    closed(&case);
}

/// Scripts without a name, and scripts that a container was not made with.
#[test]
fn scripts_are_collected_as_root_docker() {
    let dir = folder();
    let Some(engine) = engine("scripts_are_collected_as_root_docker", &dir) else {
        return;
    };
    let engine = engine.with_image();
    let at = dir.path();
    let text = "#!/bin/sh\nsleep 1\n";
    let nameless = script(at, "nameless", text);
    let is_nameless = sha256sum(Path::new(&nameless));
    let_files_rest();
    let case = at.join("case");
    let running = collecting(&engine, &case);
    output("sh", &["-c", "exec 3<$0; rm $0; /proc/self/fd/3", &nameless]);
    // It is read as long as the container is there.
    let inside = "printf '#!/bin/sh\ntrue # evil\n' >/evil; chmod +x /evil; sleep 2; /evil; sleep 600";
    engine.docker(&[
        "run", "-d", "--pull", "never", "--name", "evil", IMAGE, "sh", "-c", inside,
    ]);
    until_written(&case, "the digest of /evil", |rows| {
        rows.iter().any(|r| r.kind == "artifact" && r.arg("path") == "/evil")
    });
    let evil = engine.docker(&["exec", "evil", "cat", "/evil"]);
    running.signal(libc::SIGTERM).expect(0);
    let found = scripts(&case);
    let copied = |row: &Row, sha256: &str| {
        assert_eq!(row.arg("copy_reason"), "", "{row:?}");
        assert_eq!(sha256sum(&case.join(row.arg("copy"))), sha256, "{row:?}");
    };
    let copy = at.join("evil");
    fs::write(&copy, format!("{evil}\n")).expect("room");
    let of_evil = of(&found, "/evil");
    is(of_evil, &sha256sum(&copy), "evil");
    assert!(of_evil.container.is_some(), "{of_evil:?}");
    copied(of_evil, of_evil.arg("sha256"));
    copied(of(&found, &nameless), &is_nameless);
    closed(&case);
}
