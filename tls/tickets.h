/* tickets.h - keys of session tickets, which all sessions share
 *
 * A client that comes back within the hour resumes its session without a signature. The
 * ticket holds what the session needs, sealed by a key that only this process and its
 * children know; so a key is used for one hour, and understood for one more.
 */
#ifndef PIPIT_TLS_TICKETS_H
#define PIPIT_TLS_TICKETS_H

#include <openssl/ssl.h>

#define TICKETS_SECONDS 3600

/* Let the tickets of <ctx> be sealed by these keys. 1, or 0. */
extern int tickets_use(SSL_CTX *ctx);

/* Make a new key when it is time. To be called before a session is forked. 1, or 0. */
extern int tickets_renew(void);

#endif
