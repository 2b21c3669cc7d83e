// SPDX-License-Identifier: MIT
#include "etcd/certificates.h"

#include <cerrno>
#include <fstream>
#include <sstream>
#include <string_view>
#include <utility>

namespace kvd::etcd {
namespace {

constexpr char kSystemCa[] = "/etc/ssl/certs/ca-certificates.crt";
constexpr std::string_view kCertificateMark = "-----BEGIN CERTIFICATE-----";
constexpr std::string_view kKeyMark = "PRIVATE KEY-----";
constexpr std::string_view kEncryptedMark = "ENCRYPTED";

Result<std::string> ReadPem(const std::string& path, std::string_view mark,
                            std::string_view what) {
  errno = 0;
  std::ifstream file(path, std::ios::binary);
  if (!file.is_open()) {
    return Unexpected(Error::FromErrno(
        errno, fmt::format("cannot read {} for etcd, {}", what, path)));
  }
  std::ostringstream out;
  out << file.rdbuf();
  std::string text = std::move(out).str();
  if (text.find(mark) == text.npos) {
    return Fail(ErrorCode::kInvalid,
                "{} is not a PEM file with {} for etcd: no line in it has "
                "\"{}\"",
                path, what, mark);
  }
  return text;
}

Result<std::string> ReadCa(const std::string& path) {
  constexpr std::string_view kWhat = "the CA's certificate";
  if (!path.empty()) return ReadPem(path, kCertificateMark, kWhat);
  Result<std::string> read = ReadPem(kSystemCa, kCertificateMark, kWhat);
  if (read) return read;
  return Fail(read.error().code(),
              "{}: name the CA that signed etcd's certificates (etcd.ca_file)",
              read.error().message());
}

Result<std::string> ReadKey(const std::string& path) {
  KVD_TRY_ASSIGN(std::string key, ReadPem(path, kKeyMark, "the private key"));
  // OpenSSL would ask for the password at the terminal.
  if (key.find(kEncryptedMark) != key.npos) {
    return Fail(ErrorCode::kInvalid,
                "the private key for etcd in {} is encrypted, and a daemon has "
                "nobody to ask for the password: store it without one, "
                "readable for kvd alone (openssl pkey -in …)",
                path);
  }
  return key;
}

}  // namespace

Result<Certificates> ReadCertificates(const CertificateFiles& files) {
  if (files.cert.empty() != files.key.empty()) {
    return Fail(ErrorCode::kInvalid,
                "a client certificate for etcd needs both files, certificate "
                "and key: only {} is given",
                files.cert.empty() ? files.key : files.cert);
  }
  Certificates read;
  KVD_TRY_ASSIGN(read.ca, ReadCa(files.ca));
  if (files.cert.empty()) return read;
  KVD_TRY_ASSIGN(read.cert, ReadPem(files.cert, kCertificateMark,
                                    "the client's certificate"));
  KVD_TRY_ASSIGN(read.key, ReadKey(files.key));
  return read;
}

}  // namespace kvd::etcd
