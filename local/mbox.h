/* mbox.h - append to an mbox file, under locks */
#ifndef PIPIT_MBOX_H
#define PIPIT_MBOX_H

#include "delivery.h"
#include "message.h"
#include "report.h"

/* Append the kept message to <path>, which is made when it is not there. When
 * this returns 1 it is on disk; else 0 and <r>, and the file is as it was. */
extern int mbox_deliver(struct delivery const *d, struct message *m, char const *path,
                        struct report *r);

#endif
