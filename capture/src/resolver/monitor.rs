//! Containers as the processes show them that watch over them: conmon (Podman) and containerd's shim. This is how
//! containers are known whose cgroup says nothing and of which no engine tells, as those of users without privileges.

use ctrace_trace::process::ProcessImage;

use super::state::State;

/// Between a container's first process and its monitor are at most the runtime's own processes.
const MAX_DISTANCE: usize = 6;

/// What a monitor's command line says.
#[derive(Debug, PartialEq, Eq)]
struct Watched<'a> {
    engine: &'static str,
    id: &'a str,
    name: &'a [u8],
    /// Where conmon finds the container; empty for a shim.
    bundle: &'a [u8],
}

impl State {
    /// Learns whose a pid namespace is, where an image is the first that is seen in it.
    pub(super) fn learn_by_monitor(&mut self, image: &ProcessImage, ts: u64) {
        let namespace = image.namespaces.pid;
        let Some(parent) = image.parent.as_deref().filter(|p| p.namespaces.pid != namespace) else {
            return;
        };
        if namespace == 0 || parent.namespaces.pid == 0 || image.container.is_some() {
            return;
        }
        if self.containers.is_known_namespace(namespace) {
            return;
        }
        let Some((monitor, watched)) = monitor_of(parent) else {
            return;
        };
        self.containers.learn_namespace(watched.id, namespace);
        if self.containers.is_named(watched.id) {
            return;
        }
        let stored = self.ask_for_container(monitor.pid, ts, watched.bundle, watched.id);
        let mut container = stored.unwrap_or_default();
        watched.id.clone_into(&mut container.id);
        watched.engine.clone_into(&mut container.engine);
        if !watched.name.is_empty() {
            container.name = String::from_utf8_lossy(watched.name).into_owned();
        }
        self.containers.update(&container.into());
    }
}

/// The nearest ancestor that watches over a container.
fn monitor_of(parent: &ProcessImage) -> Option<(&ProcessImage, Watched<'_>)> {
    let line = std::iter::successors(Some(parent), |image| image.parent.as_deref());
    line.take(MAX_DISTANCE).find_map(|image| Some((image, watched(image)?)))
}

fn watched(image: &ProcessImage) -> Option<Watched<'_>> {
    let words: Vec<&[u8]> = match &image.name[..] {
        b"conmon" | b"containerd-shim" => image.argv.split(|b| *b == 0).collect(),
        _ => return None,
    };
    if image.name == b"conmon" {
        conmon(&words)
    } else {
        shim(&words)
    }
}

/// `conmon --api-version 1 -c ID -u ID -r runc -b FOLDER -p FILE -n NAME --exit-dir FOLDER …`
fn conmon<'a>(words: &[&'a [u8]]) -> Option<Watched<'a>> {
    let option = |short: &str, long: &str| value(words, short, long).unwrap_or_default();
    let is_crio = value(words, "--exit-dir", "--exit-dir").is_some_and(|folder| folder.starts_with(b"/var/run/crio/"));
    Some(Watched {
        engine: if is_crio { "cri-o" } else { "podman" },
        id: container_id(option("-c", "--cid"))?,
        name: option("-n", "--name"),
        bundle: option("-b", "--bundle"),
    })
}

/// `containerd-shim-runc-v2 -namespace moby -id ID -address SOCKET`: one for each container, but in Kubernetes, where it
/// watches over those of a pod.
fn shim<'a>(words: &[&'a [u8]]) -> Option<Watched<'a>> {
    let engine = match value(words, "-namespace", "--namespace")? {
        b"k8s.io" => return None,
        b"moby" => "docker",
        _ => "containerd",
    };
    Some(Watched {
        engine,
        id: container_id(value(words, "-id", "--id")?)?,
        name: b"",
        bundle: b"",
    })
}

/// The word after an option.
fn value<'a>(words: &[&'a [u8]], short: &str, long: &str) -> Option<&'a [u8]> {
    let at = words
        .iter()
        .position(|word| *word == short.as_bytes() || *word == long.as_bytes())?;
    words.get(at + 1).copied()
}

/// A full id, as cgroups have it.
fn container_id(word: &[u8]) -> Option<&str> {
    let is_id = word.len() == 64 && word.iter().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
    std::str::from_utf8(word).ok().filter(|_| is_id)
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &str = "0d17d63039a6b1e2493284ff1d9cc3947770823aa0fe3b272dc3c808b38bfd2e";

    fn image(name: &str, line: &str) -> ProcessImage {
        ProcessImage {
            name: name.into(),
            argv: line.replace("$ID", ID).replace(' ', "\0").into_bytes().into(),
            ..ProcessImage::default()
        }
    }

    #[track_caller]
    fn check(name: &str, line: &str, expected: Option<(&str, &str, &str)>) {
        let image = image(name, line);
        let found = watched(&image);
        let text = |bytes| std::str::from_utf8(bytes).expect("UTF-8");
        assert!(found.as_ref().is_none_or(|w| w.id == ID), "{found:?}");
        assert_eq!(
            found.map(|w| (w.engine, text(w.name), text(w.bundle))),
            expected,
            "{line}"
        );
    }

    #[test]
    fn command_lines_of_monitors() {
        check(
            "conmon",
            "/usr/bin/conmon --api-version 1 -c $ID -u $ID -r /usr/bin/runc -b /s/vfs-containers/$ID/userdata -n web",
            Some(("podman", "web", &format!("/s/vfs-containers/{ID}/userdata"))),
        );
        check(
            "conmon",
            "conmon --cid $ID --name k8s_a_b --exit-dir /var/run/crio/exits",
            Some(("cri-o", "k8s_a_b", "")),
        );
        let shim = "/usr/bin/containerd-shim-runc-v2 -namespace moby -id $ID -address /run/c.sock";
        check("containerd-shim", shim, Some(("docker", "", "")));
        check(
            "containerd-shim",
            &shim.replace("moby", "default"),
            Some(("containerd", "", "")),
        );
    }

    #[test]
    fn what_is_no_monitor() {
        check(
            "containerd-shim",
            "containerd-shim-runc-v2 -namespace k8s.io -id $ID",
            None,
        );
        check("conmon", "conmon -c 0d17d630 -n web", None);
        check("conmon", "conmon -n web -c", None);
        check("sh", "conmon -c $ID -n web", None);
    }
}
