/* shovel.h - carry bytes between a TLS connection and a plain socket */
#ifndef PIPIT_TLS_SHOVEL_H
#define PIPIT_TLS_SHOVEL_H

#include <openssl/ssl.h>

#define SHOVEL_BYTES    16384 /* that are on their way at most, each way: a record of TLS */
#define SHOVEL_FLUSH_MS 10000 /* for a peer to take what is left, when the plain side is gone */
#define SHOVEL_LINGER_MS 1000 /* and to close */
#define SHOVEL_QUIET_MS 500   /* until memory goes back */

enum shovel_result {
  SHOVEL_ORDERLY, /* something came from the network, and nothing was wrong */
  SHOVEL_USED,    /* something came */
  SHOVEL_UNUSED,  /* nothing came */
  SHOVEL_LOST     /* nothing came, and the network has ended it */
};

/* Carry bytes both ways until one side is gone. Each side's end is passed on as the end
 * of that way only. There is no limit of idle time: the plain side has its own, and
 * it closes. <net> is the socket of <ssl>; neither socket blocks. What was carried is not in memory
 * any more. */
extern enum shovel_result shovel(SSL *ssl, int net, int plain);

/* Say that nothing more will come, and take what the peer still sends until it closes, for a
 * moment: a reset would cost it our last words. */
extern void shovel_linger(int net);

#endif
