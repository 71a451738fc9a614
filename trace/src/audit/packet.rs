//! Numbers of network packets in records of netfilter (`linux/netfilter.h`, `linux/icmp.h`, `linux/if_ether.h`, IANA's
//! protocol numbers).

pub(super) fn family(number: i64) -> Option<&'static str> {
    Some(match number {
        0 => "unspecified",
        1 => "inet",
        2 => "ipv4",
        3 => "arp",
        5 => "netdev",
        7 => "bridge",
        10 => "ipv6",
        12 => "decnet",
        _ => return None,
    })
}

pub(super) fn hook(number: u64) -> Option<&'static str> {
    const HOOKS: [&str; 6] = ["PREROUTING", "INPUT", "FORWARD", "OUTPUT", "POSTROUTING", "BROUTING"];
    HOOKS.get(usize::try_from(number).ok()?).copied()
}

pub(super) fn verdict(number: u64) -> Option<&'static str> {
    ["ACCEPT", "DROP", "REJECT"].get(usize::try_from(number).ok()?).copied()
}

pub(super) fn icmp_type(number: i64) -> Option<&'static str> {
    Some(match number {
        0 => "echo-reply",
        3 => "destination-unreachable",
        4 => "source-quench",
        5 => "redirect",
        8 => "echo",
        11 => "time-exceeded",
        12 => "parameter-problem",
        13 => "timestamp-request",
        14 => "timestamp-reply",
        15 => "info-request",
        16 => "info-reply",
        17 => "address-mask-request",
        18 => "address-mask-reply",
        _ => return None,
    })
}

pub(super) fn protocol(number: i64) -> Option<&'static str> {
    Some(match number {
        0 => "ip",
        1 => "icmp",
        2 => "igmp",
        3 => "ggp",
        4 => "ipencap",
        5 => "st",
        6 => "tcp",
        8 => "egp",
        9 => "igp",
        12 => "pup",
        17 => "udp",
        20 => "hmp",
        22 => "xns-idp",
        27 => "rdp",
        29 => "iso-tp4",
        33 => "dccp",
        36 => "xtp",
        37 => "ddp",
        38 => "idpr-cmtp",
        41 => "ipv6",
        43 => "ipv6-route",
        44 => "ipv6-frag",
        45 => "idrp",
        46 => "rsvp",
        47 => "gre",
        50 => "esp",
        51 => "ah",
        57 => "skip",
        58 => "ipv6-icmp",
        59 => "ipv6-nonxt",
        60 => "ipv6-opts",
        73 => "rspf",
        81 => "vmtp",
        88 => "eigrp",
        89 => "ospf",
        93 => "ax.25",
        94 => "ipip",
        97 => "etherip",
        98 => "encap",
        103 => "pim",
        108 => "ipcomp",
        112 => "vrrp",
        115 => "l2tp",
        124 => "isis",
        132 => "sctp",
        133 => "fc",
        135 => "mobility-header",
        136 => "udplite",
        137 => "mpls-in-ip",
        138 => "manet",
        139 => "hip",
        140 => "shim6",
        141 => "wesp",
        142 => "rohc",
        _ => return None,
    })
}

pub(super) fn ether_type(number: u64) -> Option<&'static str> {
    match number {
        0x0800 => Some("IP"),
        0x0806 => Some("ARP"),
        _ => None,
    }
}
