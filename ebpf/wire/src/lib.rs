//! The record layout shared by the kernel programs and user space.
