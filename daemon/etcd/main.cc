// SPDX-License-Identifier: MIT
//
// kvd-etcd: kvd that can have its data in etcd.
#include <fmt/format.h>

#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/random.h"
#include "daemon/program.h"
#include "etcd/client.h"
#include "etcd/engine/etcd_store.h"

namespace kvd {
namespace {

std::vector<std::string> Split(std::string_view text) {
  std::vector<std::string> parts;
  while (!text.empty()) {
    const std::string_view part = text.substr(0, text.find(','));
    parts.emplace_back(part);
    text.remove_prefix(std::min(text.size(), part.size() + 1));
  }
  return parts;
}

Result<std::unique_ptr<Store>> OpenOnEtcd(const SharedStoreOptions& with,
                                          Clock& clock, Wake wake) {
  const Config::Etcd& config = with.config.etcd;
  etcd::ClientOptions client;
  client.endpoints = Split(config.endpoints);
  client.certificates = {config.ca_file, config.cert_file, config.key_file};
  KVD_TRY_ASSIGN(auto api, etcd::Connect(client, wake));
  etcd::EtcdStoreOptions options;
  options.prefix = config.prefix;
  options.id = with.id;
  options.nonce = fmt::format("{:016x}", RandomU64());
  options.timeout_ms = config.timeout_ms;
  options.linearizable = config.reads != "local";
  options.max_clock_skew_ms = config.max_clock_skew_ms;
  options.memory_limit_bytes = with.memory_limit_bytes;
  options.log = with.log;
  return std::make_unique<etcd::EtcdStore>(std::move(api), std::move(options),
                                           clock, std::move(wake));
}

}  // namespace
}  // namespace kvd

int main(int argc, char** argv) {
  return kvd::RunProgram(argc, argv, kvd::OpenOnEtcd);
}
