# SPDX-License-Identifier: MIT
"""Certificates for tests, made by openssl."""

import os
import ssl

from harness import run

DAYS = "2"
_KEY = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]


class Authority:
    """Signs certificates; everything lies in `folder`."""

    def __init__(self, folder, name="ca"):
        self.folder = folder
        self.certificate = os.path.join(folder, f"{name}.pem")
        self._key = os.path.join(folder, f"{name}.key")
        _openssl("req", "-x509", *_KEY, "-subj", f"/CN={name}", "-days", DAYS,
                 "-keyout", self._key, "-out", self.certificate)

    def issue(self, name, address="IP:127.0.0.1", days=DAYS):
        """The files of a certificate and its key, for servers at that address
        and for clients; with days below zero it has expired."""
        certificate, key, request, extensions = (
            os.path.join(self.folder, f"{name}.{ending}")
            for ending in ("pem", "key", "csr", "ext"))
        _openssl("req", *_KEY, "-subj", f"/CN={name}", "-keyout", key,
                 "-out", request)
        with open(extensions, "w", encoding="utf-8") as stream:
            stream.write(f"subjectAltName={address}\n"
                         "extendedKeyUsage=serverAuth,clientAuth\n")
        _openssl("x509", "-req", "-in", request, "-CA", self.certificate,
                 "-CAkey", self._key, "-CAcreateserial", "-days", days,
                 "-extfile", extensions, "-out", certificate)
        return certificate, key

    def context(self, certificate, key):
        """For a client with that certificate, which trusts this authority."""
        context = ssl.create_default_context(cafile=self.certificate)
        context.load_cert_chain(certificate, key)
        return context


def _openssl(*words):
    result = run(["openssl", *words])
    assert result.returncode == 0, result.stderr.decode()
