/* warmup.c - handshakes with ourselves; see warmup.h */

#include <openssl/err.h>

#include "warmup.h"

#define TURNS 8 /* of each side; a handshake needs three or four */

static void shake_hands(SSL *server, SSL *client)
{
  char c = 'x';
  for (int i = 0; i < TURNS; i++) {
    SSL_do_handshake(client);
    SSL_do_handshake(server);
  }
  if (SSL_write(client, &c, 1) == 1) SSL_read(server, &c, 1);
  if (SSL_write(server, &c, 1) == 1) SSL_read(client, &c, 1);
}

static void meet(SSL_CTX *server_ctx, SSL_CTX *client_ctx)
{
  BIO *a, *b;
  SSL *server = SSL_new(server_ctx), *client = SSL_new(client_ctx);
  if (server && client && BIO_new_bio_pair(&a, 0, &b, 0) == 1) {
    SSL_set_bio(server, a, a);
    SSL_set_bio(client, b, b);
    SSL_set_accept_state(server);
    SSL_set_connect_state(client);
    shake_hands(server, client);
  }
  SSL_free(server);
  SSL_free(client);
}

void warmup(SSL_CTX *ctx)
{
  static int const versions[] = { TLS1_2_VERSION, TLS1_3_VERSION };
  SSL_CTX *client = SSL_CTX_new(TLS_client_method());
  for (int i = 0; client && i < 2; i++)
    if (SSL_CTX_set_min_proto_version(client, versions[i]) == 1 &&
        SSL_CTX_set_max_proto_version(client, versions[i]) == 1)
      meet(ctx, client);
  SSL_CTX_free(client);
  ERR_clear_error();
}
