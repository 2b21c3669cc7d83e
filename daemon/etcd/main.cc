// SPDX-License-Identifier: MIT
//
// kvd-etcd: kvd that can have its data in etcd.
#include <fmt/format.h>

#include <string>
#include <utility>
#include <vector>

#include "base/random.h"
#include "daemon/program.h"
#include "etcd/client.h"
#include "etcd/engine/etcd_store.h"

namespace kvd {
namespace {

constexpr int64_t kStatusIntervalMs = 3000;

etcd::ClientOptions ClientOptionsOf(const Config::Etcd& config) {
  return {.endpoints = SplitList(config.endpoints),
          .certificates = {config.ca_file, config.cert_file, config.key_file}};
}

Result<std::vector<std::string>> Check(const Config& config) {
  const auto checked = etcd::Check(ClientOptionsOf(config.etcd));
  if (checked) return std::vector<std::string>();
  // Of a unit's credentials, which are there while it runs.
  if (checked.error().code() == ErrorCode::kNotFound) {
    return std::vector{checked.error().message()};
  }
  return Fail(ErrorCode::kInvalid, "[etcd] {}", checked.error().message());
}

Result<std::unique_ptr<Store>> OpenOnEtcd(const SharedStoreOptions& with,
                                          Clock& clock, Wake wake) {
  const Config::Etcd& config = with.config.etcd;
  KVD_TRY_ASSIGN(auto api, etcd::Connect(ClientOptionsOf(config), wake));
  etcd::EtcdStoreOptions options;
  options.prefix = config.prefix;
  options.id = with.id;
  options.nonce = fmt::format("{:016x}", RandomU64());
  options.timeout_ms = config.timeout_ms;
  options.linearizable = config.reads != kLocalReads;
  options.max_clock_skew_ms = config.max_clock_skew_ms;
  options.memory_limit_bytes = with.memory_limit_bytes;
  options.status.interval_ms = kStatusIntervalMs;
  options.log = with.log;
  return std::make_unique<etcd::EtcdStore>(std::move(api), std::move(options),
                                           clock, std::move(wake));
}

constexpr SharedStores kStores = {"kvd-etcd", OpenOnEtcd, Check};

}  // namespace
}  // namespace kvd

int main(int argc, char** argv) {
  return kvd::RunProgram(argc, argv, &kvd::kStores);
}
