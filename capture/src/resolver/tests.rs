//! Behaviour of the resolver on records made by hand, in the kernel's layout.

mod containers;
mod files;
mod hostile;
mod identity;
mod life;
mod links;
mod links_live;
mod live;
mod magic;
mod moved_live;
mod sharing;
mod sharing_live;
mod sockets;
mod untrue;
mod world;
