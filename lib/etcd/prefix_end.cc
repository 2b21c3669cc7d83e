// SPDX-License-Identifier: MIT
#include "etcd/api.h"

namespace kvd::etcd {

std::string PrefixEnd(std::string_view prefix) {
  std::string end(prefix);
  while (!end.empty() && static_cast<unsigned char>(end.back()) == 0xff) {
    end.pop_back();
  }
  // No key is above all of them: etcd takes a zero byte for "to the end".
  if (end.empty()) return std::string(1, '\0');
  ++end.back();
  return end;
}

}  // namespace kvd::etcd
