// SPDX-License-Identifier: MIT
#pragma once

#include <string>

#include "base/error.h"

namespace kvd::etcd {

// PEM files for https endpoints; an empty path is none.
struct CertificateFiles {
  std::string ca = {};  // Who may sign etcd's certificates; none: the system's.
  std::string cert = {};  // What kvd shows to etcd, with …
  std::string key = {};   // … its private key, not encrypted.
};

// What is in them.
struct Certificates {
  std::string ca;
  std::string cert;
  std::string key;
};

// Errors name the file and say what to do.
Result<Certificates> ReadCertificates(const CertificateFiles& files);

}  // namespace kvd::etcd
