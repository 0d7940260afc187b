/* forward.h - queue a message again for the addresses of a dot-qmail file */
#ifndef PIPIT_FORWARD_H
#define PIPIT_FORWARD_H

#include <stdint.h>

#include "delivery.h"
#include "dotqmail.h"
#include "message.h"
#include "report.h"

/* Queue the kept message, below our Delivered-To line, for the forwards among
 * the first <n> instructions of <q>, from <sender>. 1 and <*qp>, the id in the
 * queue (of a QMAILQUEUE program the process id); or 0 and <r>. */
extern int forward_send(struct delivery const *d, struct message const *m, struct dotqmail const *q,
                        size_t n, char const *sender, uint64_t *qp, struct report *r);

#endif
