//! Which container a cgroup belongs to, as its path says. Pure: paths are what the kernel shows, whoever made them.

/// Recognises the cgroup of a container, or one below it. Returns the engine and the container's full id, 64 hexadecimal
/// digits.
///
/// | engine | shape |
/// | --- | --- |
/// | `docker` | `/docker/ID`, `/system.slice/docker-ID.scope`, also below pods and custom parents |
/// | `podman` | `/machine.slice/libpod-ID.scope[/container]`, `/libpod_parent/libpod-ID`, also below `user.slice` |
/// | `cri-o` | `…/crio-ID.scope`, `…/crio-ID` |
/// | `containerd` | `…/cri-containerd-ID.scope`, `…/kubepods…:cri-containerd:ID`, `/kubepods/…/ID`, `/NAMESPACE/ID` |
pub fn container_of(path: &[u8]) -> Option<(&'static str, &str)> {
    let path = std::str::from_utf8(path).ok()?;
    // The parts since the last container: only they say what a bare id is.
    let mut above: Vec<&str> = Vec::new();
    // The innermost container counts: one that runs in another is the nearer truth.
    let mut found = None;
    for part in path.split('/').filter(|p| !p.is_empty()) {
        let container = split_id(part).and_then(|(prefix, id)| Some((engine_of(prefix, &above)?, id)));
        if container.is_some() {
            found = container;
            above.clear();
        } else {
            above.push(part);
        }
    }
    found
}

/// The prefix of a path's part and the id that ends it.
fn split_id(part: &str) -> Option<(&str, &str)> {
    let name = part
        .strip_suffix(".scope")
        .or(part.strip_suffix(".service"))
        .unwrap_or(part);
    let (prefix, id) = name.split_at_checked(name.len().checked_sub(64)?)?;
    id.bytes()
        .all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b))
        .then_some((prefix, id))
}

/// The engine that names cgroups so, below these parts. A bare id says little: Docker with a parent of its own choice looks
/// like containerd, except in Kubernetes.
fn engine_of(prefix: &str, above: &[&str]) -> Option<&'static str> {
    let word = prefix.trim_end_matches(['-', ':']);
    match word.rsplit(':').next().unwrap_or(word) {
        "docker" => Some("docker"),
        "libpod" => Some("podman"),
        // Conmon watches over a container and is not in it.
        "libpod-conmon" | "crio-conmon" => None,
        "crio" => Some("cri-o"),
        "cri-containerd" | "nerdctl" | "containerd" => Some("containerd"),
        "" if above.contains(&"libpod_parent") => Some("podman"),
        "" if above.contains(&"docker") => Some("docker"),
        "" => Some("containerd"),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: &str = "0d17d63039a6b1e2493284ff1d9cc3947770823aa0fe3b272dc3c808b38bfd2e";
    const B: &str = "1cd9c4005d0bbce2d9d4d7c3fb52995eae3217c60e7df4d63c449354a7d3d19c";

    fn check(path: &str, expected: Option<(&'static str, &str)>) {
        let path = path.replace("$A", A).replace("$B", B);
        assert_eq!(container_of(path.as_bytes()), expected, "{path}");
    }

    #[test]
    fn docker() {
        check("/docker/$A", Some(("docker", A)));
        check("/docker/$A/init.scope", Some(("docker", A)));
        check("/system.slice/docker-$A.scope", Some(("docker", A)));
        check(
            "/user.slice/user-1000.slice/user@1000.service/user.slice/docker-$A.scope",
            Some(("docker", A)),
        );
        check(
            "/kubepods/besteffort/pod2c48913c-b29f-11e7-9350-020968147796/docker/$A",
            Some(("docker", A)),
        );
        check("/../../system.slice/docker-$A.scope", Some(("docker", A)));
    }

    #[test]
    fn docker_in_docker_is_the_inner_one() {
        check("/docker/$A/docker/$B", Some(("docker", B)));
        check(
            "/system.slice/docker-$A.scope/system.slice/docker-$B.scope",
            Some(("docker", B)),
        );
    }

    #[test]
    fn podman() {
        check("/machine.slice/libpod-$A.scope", Some(("podman", A)));
        check("/machine.slice/libpod-$A.scope/container", Some(("podman", A)));
        check("/libpod_parent/libpod-$A", Some(("podman", A)));
        check(
            "/user.slice/user-1000.slice/user@1000.service/user.slice/libpod-$A.scope/container",
            Some(("podman", A)),
        );
        check("/machine.slice/libpod-conmon-$A.scope", None);
        check("/machine.slice/libpod-payload-$A", None);
    }

    #[test]
    fn kubernetes() {
        let pod = "kubepods-burstable-pod5f8d9a3e_1b2c_4d5e_8f90_123456789abc.slice";
        let slices = format!("/kubepods.slice/kubepods-burstable.slice/{pod}");
        check(&format!("{slices}/cri-containerd-$A.scope"), Some(("containerd", A)));
        check(&format!("{slices}/crio-$A.scope"), Some(("cri-o", A)));
        check(&format!("{slices}/crio-$A"), Some(("cri-o", A)));
        check(&format!("{slices}/crio-conmon-$A.scope"), None);
        check(&format!("{slices}/docker-$A.scope"), Some(("docker", A)));
        check(
            "/kubepods/burstable/pod5f8d9a3e-1b2c-4d5e-8f90-123456789abc/$A",
            Some(("containerd", A)),
        );
        check(
            &format!("/system.slice/containerd.service/{pod}:cri-containerd:$A"),
            Some(("containerd", A)),
        );
        check(
            &format!("/kubelet{slices}/cri-containerd-$A.scope"),
            Some(("containerd", A)),
        );
    }

    #[test]
    fn kubernetes_without_a_class_and_in_containers() {
        let pod = "pod5f8d9a3e-1b2c-4d5e-8f90-123456789abc";
        // Guaranteed pods have no class of their own.
        for class in ["", "-burstable", "-besteffort"] {
            let folder = if class.is_empty() {
                String::new()
            } else {
                format!("/kubepods{class}.slice")
            };
            let slices = format!(
                "/kubepods.slice{folder}/kubepods{class}-{}.slice",
                pod.replace('-', "_")
            );
            check(&format!("{slices}/cri-containerd-$A.scope"), Some(("containerd", A)));
            check(&format!("{slices}/crio-$A.scope/container"), Some(("cri-o", A)));
            let folders = format!("/kubepods/{}/{pod}", class.trim_start_matches('-'));
            check(&format!("{folders}/$A"), Some(("containerd", A)));
            check(&format!("{folders}/crio-$A"), Some(("cri-o", A)));
            check(&format!("/docker/$A{folders}/$B"), Some(("containerd", B)));
            // A node that is a container itself.
            let inner = slices.replace("kubepods", "kubelet-kubepods");
            check(
                &format!("/docker/$A/kubelet.slice{inner}/cri-containerd-$B.scope"),
                Some(("containerd", B)),
            );
            check(
                &format!("/system.slice/docker-$A.scope/kubelet.slice{inner}/cri-containerd-$B.scope"),
                Some(("containerd", B)),
            );
        }
        check(
            "/user.slice/user-1000.slice/user@1000.service/user.slice/user-libpod_pod_$A.slice/libpod-$B.scope/container",
            Some(("podman", B)),
        );
    }

    #[test]
    fn containerd_alone() {
        check("/default/$A", Some(("containerd", A)));
        check("/system.slice/nerdctl-$A.scope", Some(("containerd", A)));
    }

    #[test]
    fn the_rest_of_the_host() {
        let paths = [
            "",
            "/",
            "/system.slice/docker.service",
            "/system.slice/containerd.service",
            "/user.slice/user-0.slice/session-1.scope",
            "/init.scope",
            "/docker/buildkit/abc",
            "/docker/0D17D63039A6B1E2493284FF1D9CC3947770823AA0FE3B272DC3C808B38BFD2E",
            "/docker/0d17d63039a6",
            "/system.slice/other-$A.service",
            "/é$A",
        ];
        for path in paths {
            check(path, None);
        }
    }
}
