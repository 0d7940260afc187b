/* t-scram.c - SCRAM-SHA-256: the exchange of RFC 7677, 3, and messages that are none */

#include <stdio.h>
#include <string.h>

#include "check.h"
#include "scram.h"

#define FIRST  "n,,n=user,r=rOprNGfwEbeRWgbNEkqO"
#define NONCE  "rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0"
#define SERVER "r=" NONCE ",s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096"
#define WITHOUT "c=biws,r=" NONCE
#define PROOF  ",p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ="

static char const server_last[] = "v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=";

static int final(struct scram const *s, struct scram_keys const *k, char const *msg)
{
  char out[AUTHWIRE_SCRAM_MAX];
  size_t n;
  return scram_final(s, k, msg, strlen(msg), out, &n);
}

static char const *const bad_first[] = {
  "", "n", "n,", "n,,", "y,,", "n,,n=", "n,,n=user", "n,,n=user,", "n,,n=user,r=", "n,,r=x,n=user", "x,,n=user,r=x",
  "p=tls-exporter,,n=user,r=x", "n,a=other,n=user,r=x", "n,a=,n=user,r=x", "n,,m=x,n=user,r=x", "n,,n=us=er,r=x",
  "n,,n=user=,r=x", "n,,n=user=2,r=x", "n,,n=user,r=a b", "nn,,n=user,r=x", "n,,n=user,r=\x80",
};

static char const *const bad_final[] = {
  "", "c=biws", WITHOUT, "c=biws,r=other" PROOF, "c=eSws,r=" NONCE PROOF, "r=" NONCE PROOF, WITHOUT PROOF ",x=y",
  WITHOUT ",m=x" PROOF, WITHOUT ",p=", WITHOUT ",p=AAAA", WITHOUT ",p=eHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=",
  WITHOUT ",x=y" PROOF, "c=biws,r=" NONCE "x" PROOF,
};

int main(void)
{
  struct scram s;
  struct scram_keys k, same;
  char secret[SECRET_MAX], out[AUTHWIRE_SCRAM_MAX], long_name[AUTHWIRE_SCRAM_MAX + 100];
  char const *hash;
  size_t n;
  k.iterations = 4096;
  k.saltlen = 16;
  memcpy(k.salt, "\x5b\x6d\x99\x68\x9d\x12\x35\x8e\xec\xa0\x4b\x14\x12\x36\xfa\x81", 16);
  check(secret_derive(&k, "pencil", 6), "keys");
  check(scram_first(&s, FIRST, strlen(FIRST)) && !strcmp(s.user, "user"), "the first message");
  check(scram_challenge(&s, &k, "%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0") && s.serverlen == strlen(SERVER) &&
            !memcmp(s.server, SERVER, s.serverlen),
        "the challenge");
  check(scram_final(&s, &k, WITHOUT PROOF, strlen(WITHOUT PROOF), out, &n) == 1, "the proof");
  check(n == strlen(server_last) && !memcmp(out, server_last, n), "the server's proof");
  for (size_t i = 0; i < sizeof bad_final / sizeof *bad_final; i++)
    check(final(&s, &k, bad_final[i]) == 0, bad_final[i]);
  k.stored[0] ^= 1;
  check(final(&s, &k, WITHOUT PROOF) == 0, "another password");
  for (size_t i = 0; i < sizeof bad_first / sizeof *bad_first; i++)
    check(!scram_first(&s, bad_first[i], strlen(bad_first[i])), bad_first[i]);
  check(!scram_first(&s, "n,,n=us\0er,r=x", 14), "a NUL");
  check(scram_first(&s, "y,a=u=2C=3Dx,n=u=2C=3Dx,r=x", 27) && !strcmp(s.user, "u,=x"), "=2C, =3D, y, and oneself as authzid");
  memset(long_name, 'x', sizeof long_name);
  memcpy(long_name, "n,,n=", 5);
  check(!scram_first(&s, long_name, sizeof long_name), "too long");
  memcpy(long_name + 300, ",r=y", 5);
  check(!scram_first(&s, long_name, 304), "a login that is too long");

  check(secret_make(secret, "pencil", 4096) && secret_kind(secret, &hash) == SECRET_SCRAM && secret_scram(&same, hash),
        "keys as text");
  check(secret_check(secret, "pencil") == 1 && secret_check(secret, "pencils") == 0, "they check a password");
  check(secret_make(secret, "pencil", 0) && secret_kind(secret, &hash) == SECRET_CRYPT && *hash == '$' &&
            secret_check(secret, "pencil") == 1 && secret_check(secret, "pencils") == 0,
        "a hash of crypt(3)");
  check(secret_check("{SHA512-CRYPT}$6$saltstring$svn8UoSVapNtMuq1ukKS4tPQd8iKwSMHWjl/O817G3uBnIFNjnQJuesI68u4OTLiBFdcbYEdFCoEOfaS35inz1", "Hello world!") == 1,
        "one of another scheme");
  check(secret_check("!{CRYPT}x", "x") != 1 && secret_check("{CRYPT}", "x") != 1 && secret_check("", "x") != 1 &&
            secret_check("{PLAIN}x", "x") == -1 && secret_check("*", "*") != 1 && secret_check("{SCRAM-SHA-256}1,x", "x") == -1,
        "what is no secret");
  return check_done();
}
