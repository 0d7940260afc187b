/* sandbox.h - for programs that strangers talk to: what they can never do again
 *
 * All of it is for good, and for all children. Where the kernel knows neither
 * seccomp nor Landlock the program runs without: its own account still holds.
 */
#ifndef PIPIT_SANDBOX_H
#define PIPIT_SANDBOX_H

#include <stddef.h>

/* No new privileges, no execution of any program, and none of the system calls
 * that a mail program has no use for (ptrace, mount, bpf, namespaces, modules,
 * io_uring, chmod and truncate of what is not open, ...): they fail with EPERM. 1 done, 0 this
 * kernel or machine cannot, -1 with errno. */
extern int sandbox_no_exec(void);

/* No new privileges, and of all system calls only calls[0..n); any other one kills the
 * process. 1 done, 0 this kernel or machine cannot, -1 with errno. */
#define SANDBOX_CALLS_MAX 32
extern int sandbox_allow_only(int const *calls, size_t n);

/* From here on files can be opened for reading only, and only at or below
 * <paths> (NULL-terminated; those that do not exist are left out). Descriptors
 * that are open already, and sockets, are not concerned. 1 done, 0 this kernel
 * cannot, -1 with errno. */
extern int sandbox_read_only(char const *const *paths);

/* The same without any path: no file can be opened. */
extern int sandbox_no_files(void);

/* From here on files can be opened, made, written, renamed and removed only at or
 * below the directories and files that are open as fds[0..n); -1 stands for none.
 * Folders, links and sockets can be neither made nor removed. Goes with sandbox_no_exec,
 * which has the calls that Landlock does not restrict, or not before its third version
 * (Linux 6.2): chmod, chown, truncate. Its first version (Linux 5.13 to 5.18) would
 * allow no rename from one directory to another: such a kernel cannot. 1 done, 0 this
 * kernel cannot, -1 with errno. */
extern int sandbox_write_below(int const *fds, size_t n);

#endif
