/* Prints how long the first line of a file is, which it opens and reads by io_uring alone. */
#include <fcntl.h>
#include <linux/io_uring.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

static int ring;
static struct io_uring_params params;
static char *sq, *cq;
static struct io_uring_sqe *sqes;

/* Submits one request, waits for it, and gives its result. */
static int request(struct io_uring_sqe sqe)
{
    unsigned *tail = (unsigned *)(sq + params.sq_off.tail);
    unsigned index = *tail & *(unsigned *)(sq + params.sq_off.ring_mask);
    unsigned *head = (unsigned *)(cq + params.cq_off.head);
    struct io_uring_cqe *cqes = (struct io_uring_cqe *)(cq + params.cq_off.cqes);
    int result;

    sqes[index] = sqe;
    ((unsigned *)(sq + params.sq_off.array))[index] = index;
    __atomic_store_n(tail, *tail + 1, __ATOMIC_RELEASE);
    syscall(SYS_io_uring_enter, ring, 1, 1, IORING_ENTER_GETEVENTS, NULL, 0);
    result = cqes[*head & *(unsigned *)(cq + params.cq_off.ring_mask)].res;
    __atomic_store_n(head, *head + 1, __ATOMIC_RELEASE);
    return result;
}

int main(int argc, char **argv)
{
    char text[256];
    int file, got;

    if (argc != 2 || (ring = syscall(SYS_io_uring_setup, 4, &params)) < 0)
        return 1;
    sq = mmap(NULL, params.sq_off.array + params.sq_entries * 4, PROT_READ | PROT_WRITE, MAP_SHARED, ring,
              IORING_OFF_SQ_RING);
    cq = mmap(NULL, params.cq_off.cqes + params.cq_entries * sizeof(struct io_uring_cqe), PROT_READ | PROT_WRITE,
              MAP_SHARED, ring, IORING_OFF_CQ_RING);
    sqes = mmap(NULL, params.sq_entries * sizeof *sqes, PROT_READ | PROT_WRITE, MAP_SHARED, ring, IORING_OFF_SQES);
    file = request((struct io_uring_sqe){.opcode = IORING_OP_OPENAT, .fd = AT_FDCWD, .addr = (unsigned long)argv[1],
                                         .open_flags = O_RDONLY});
    got = request((struct io_uring_sqe){.opcode = IORING_OP_READ, .fd = file, .addr = (unsigned long)text,
                                        .len = sizeof text});
    request((struct io_uring_sqe){.opcode = IORING_OP_CLOSE, .fd = file});
    printf("%d\n", got > 0 ? (int)strcspn(text, "\n") : got);
    return 0;
}
