//! Rows: sockets. Their type stays a number, as Falco has it: rules compare it with one.

use super::Payload::{In, Nothing as NoPayload, Out};
use super::Pointer::{AddrLen, AddrLenPtr, Message, Messages, Pair};

super::declare! {
    41 socket Net Hot ret: domain Family 0, type U32 1, proto U32 2;
    53 socketpair Ipc Hot _: fd1 Fd _, fd2 Fd _, domain Family 0, type U32 1, proto U32 2 => Pair(3), NoPayload;
    42 connect Net Priority 0: fd Fd 0, addr SockAddr 1 => AddrLen(2), NoPayload;
    49 bind Net Priority 0: fd Fd 0, addr SockAddr 1 => AddrLen(2), NoPayload;
    50 listen Net Priority 0: fd Fd 0, backlog Int 1;
    43 accept Net Priority ret: sockfd Fd 0, addr SockAddr 1 => AddrLenPtr(2), NoPayload;
    288 accept4 Net Priority ret: sockfd Fd 0, addr SockAddr 1, flags AcceptFlags 3 => AddrLenPtr(2), NoPayload;
    44 sendto Net Hot 0: fd Fd 0, size Size 2, flags Msg 3, addr SockAddr 4 => AddrLen(5), Out(1, 2);
    45 recvfrom Net Hot 0: fd Fd 0, size Size 2, flags Msg 3, addr SockAddr 4 => AddrLenPtr(5), In(1);
    46 sendmsg Net Hot 0: fd Fd 0, flags Msg 2, addr SockAddr _ => Message(1), NoPayload;
    47 recvmsg Net Hot 0: fd Fd 0, flags Msg 2, addr SockAddr _ => Message(1), NoPayload;
    307 sendmmsg Net Hot 0: fd Fd 0, vlen U32 2, flags Msg 3, addr SockAddr _, others Str _ => Messages(1), NoPayload;
    299 recvmmsg Net Hot 0: fd Fd 0, vlen U32 2, flags Msg 3, addr SockAddr _, others Str _ => Messages(1), NoPayload;
    48 shutdown Net Hot 0: fd Fd 0, how Shutdown 1;
    51 getsockname Net Hot 0: fd Fd 0, addr SockAddr 1 => AddrLenPtr(2), NoPayload;
    52 getpeername Net Hot 0: fd Fd 0, addr SockAddr 1 => AddrLenPtr(2), NoPayload;
    54 setsockopt Net Hot 0: fd Fd 0, level SockLevel 1, optname SockOption 2, optlen Size32 4;
    55 getsockopt Net Bulk 0: fd Fd 0, level SockLevel 1, optname SockOption 2;
}
