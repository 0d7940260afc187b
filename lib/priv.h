/* priv.h - give up rights, for good */
#ifndef PIPIT_PRIV_H
#define PIPIT_PRIV_H

#include <stddef.h>
#include <sys/types.h>

/* Become <uid> and <gid> with no other groups, as root; checks that there is no
 * way back. Neither may be 0. 1, or 0 with errno. */
extern int priv_drop(uid_t uid, gid_t gid);

/* The same with the groups that the group database gives the user <name>. A group
 * database that does not answer cannot be told from one without him. */
extern int priv_drop_groups(char const *name, uid_t uid, gid_t gid);

/* The same, but for one capability (linux/capability.h), which this process keeps, as root has
 * it; nothing that it executes gets it. 1, or 0 with errno; then nothing may be believed. */
extern int priv_drop_keeping(uid_t uid, gid_t gid, int capability);

/* May <capability> be kept? Root in a container may not have it. */
extern int priv_has(int capability);

/* Give up every capability that is left. 1, or 0 with errno. */
extern int priv_drop_capabilities(void);

/* No program that is executed from here on gains rights. Not for a program
 * that must execute something foreign. 1, or 0 with errno. */
extern int priv_no_new_privs(void);

/* Limit the address space to <bytes> (only ever downwards). Does nothing in
 * a sanitizer build, which maps terabytes. 1, or 0 with errno. */
extern int priv_limit_memory(size_t bytes);

/* Take that limit back, in a child that is about to execute a foreign program:
 * it is not ours to say what such a one needs. */
extern void priv_restore_memory(void);

#endif
