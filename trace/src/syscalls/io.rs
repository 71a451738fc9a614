//! Rows: reading, writing, waiting for descriptors, asynchronous requests.

use super::Payload::{In, Nothing as NoPayload, Out, Vector};
use super::Pointer::{Nothing, RingParams};

super::declare! {
    0 read IoRead Bulk 0: fd Fd 0, size Size 2 => Nothing, In(1);
    1 write IoWrite Bulk 0: fd Fd 0, size Size 2 => Nothing, Out(1, 2);
    17 pread IoRead Bulk 0: fd Fd 0, size Size 2, pos Uint 3 => Nothing, In(1);
    18 pwrite IoWrite Bulk 0: fd Fd 0, size Size 2, pos Uint 3 => Nothing, Out(1, 2);
    19 readv IoRead Bulk 0: fd Fd 0, count Uint 2 => Nothing, Vector(1, 2);
    20 writev IoWrite Bulk 0: fd Fd 0, count Uint 2 => Nothing, Vector(1, 2);
    295 preadv IoRead Bulk 0: fd Fd 0, count Uint 2, pos Uint 3 => Nothing, Vector(1, 2);
    296 pwritev IoWrite Bulk 0: fd Fd 0, count Uint 2, pos Uint 3 => Nothing, Vector(1, 2);
    327 preadv2 IoRead Bulk 0: fd Fd 0, count Uint 2, pos Uint 3, flags ReadWrite 5 => Nothing, Vector(1, 2);
    328 pwritev2 IoWrite Bulk 0: fd Fd 0, count Uint 2, pos Uint 3, flags ReadWrite 5 => Nothing, Vector(1, 2);
    8 lseek File Bulk 0: fd Fd 0, offset Long 1, whence Whence 2;
    16 ioctl IoWrite Bulk 0: fd Fd 0, request U32 1, argument Uint 2;
    40 sendfile IoWrite Hot 0: out_fd Fd 0, in_fd Fd 1, size Size 3;
    275 splice IoWrite Hot 0: fd_in Fd 0, fd_out Fd 2, size Size 4, flags Splice 5;
    276 tee IoWrite Hot 0: fd_in Fd 0, fd_out Fd 1, size Size 2, flags Splice 3;
    278 vmsplice IoWrite Hot 0: fd Fd 0, count Uint 2, flags Splice 3;
    326 copy_file_range File Hot 2: fdout Fd 2, fdin Fd 0, len Size 4;
    187 readahead IoRead Bulk 0: fd Fd 0, offset Uint 1, count Size 2;
    221 fadvise64 File Bulk 0: fd Fd 0, offset Uint 1, len Size 2, advice Fadvise 3;
    74 fsync IoWrite Bulk 0: fd Fd 0;
    75 fdatasync IoWrite Bulk 0: fd Fd 0;
    162 sync IoWrite Bulk _;
    306 syncfs IoWrite Bulk 0: fd Fd 0;
    277 sync_file_range IoWrite Bulk 0: fd Fd 0, offset Uint 1, len Size 2, flags SyncFileRange 3;

    7 poll Wait Bulk _: nfds U32 1, timeout Int 2;
    271 ppoll Wait Bulk _: nfds U32 1;
    23 select Wait Bulk _: nfds Int 0;
    270 pselect6 Wait Bulk _: nfds Int 0;
    213 epoll_create Wait Bulk ret: size Int 0;
    291 epoll_create1 Wait Bulk ret: flags EpollCreate 0;
    233 epoll_ctl Wait Bulk 0: epfd Fd 0, op EpollOp 1, fd Fd 2;
    214 epoll_ctl_old Wait Bulk 0: epfd Fd 0, op EpollOp 1, fd Fd 2;
    232 epoll_wait Wait Bulk 0: epfd Fd 0, maxevents Int 2, timeout Int 3;
    215 epoll_wait_old Wait Bulk 0: epfd Fd 0, maxevents Int 2, timeout Int 3;
    281 epoll_pwait Wait Bulk 0: epfd Fd 0, maxevents Int 2, timeout Int 3;
    441 epoll_pwait2 Wait Bulk 0: epfd Fd 0, maxevents Int 2;
    284 eventfd Ipc Bulk ret: initval U32 0;
    290 eventfd2 Ipc Bulk ret: initval U32 0, flags Eventfd 1;
    282 signalfd Signal Bulk ret: fd Fd 0;
    289 signalfd4 Signal Bulk ret: fd Fd 0, flags NewFd 3;
    283 timerfd_create Time Bulk ret: clockid Clock 0, flags NewFd 1;
    286 timerfd_settime Time Bulk 0: fd Fd 0, flags TimerfdFlags 1;
    287 timerfd_gettime Time Bulk 0: fd Fd 0;

    206 io_setup File Bulk _: nr_events U32 0;
    207 io_destroy File Bulk _: ctx_id Uint 0;
    208 io_getevents File Bulk _: ctx_id Uint 0, min_nr Long 1, nr Long 2;
    209 io_submit File Bulk _: ctx_id Uint 0, nr Long 1;
    210 io_cancel File Bulk _: ctx_id Uint 0;
    333 io_pgetevents File Bulk _: ctx_id Uint 0, min_nr Long 1, nr Long 2;
    425 io_uring_setup System Hot ret: entries U32 0, flags RingSetup _ => RingParams(1), NoPayload;
    426 io_uring_enter System Bulk 0: fd Fd 0, to_submit U32 1, min_complete U32 2, flags RingEnter 3;
    427 io_uring_register System Hot 0: fd Fd 0, opcode RingOp 1, nr_args U32 3;
    451 cachestat File Bulk 0: fd Fd 0, flags U32 3;
}
