// SPDX-License-Identifier: MIT
//
// kvd_etcd_load put|get ENDPOINTS IN_FLIGHT PUTS COUNT
//
// What a client gets from etcd without a kvd, to compare with. ENDPOINTS are
// URLs with commas between them. Keeps so many requests under way and sends
// COUNT of them: Txns of PUTS values of 100 bytes under a hundred thousand
// keys, or linearizable reads of one key each. Prints requests a second and
// milliseconds a request: rps p50 p99. Ends at the first error.
#include <poll.h>

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <random>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/check.h"
#include "base/event_fd.h"
#include "base/histogram.h"
#include "etcd/client.h"

namespace kvd::etcd {
namespace {

using Clock = std::chrono::steady_clock;

constexpr int kKeys = 100'000;
constexpr size_t kValueBytes = 100;
constexpr int64_t kTimeoutMs = 30'000;

class Load {
 public:
  Load(Api& api, bool puts, int puts_per_txn, int count)
      : api_(api), puts_(puts), puts_per_txn_(puts_per_txn), left_(count) {}

  // Sends another request, if any is left.
  void Send() {
    if (left_ == 0) return;
    --left_;
    ++under_way_;
    if (puts_) {
      api_.Txn(SomePuts(), kTimeoutMs, Done<TxnResponse>());
    } else {
      api_.Range({SomeKey(), "", 0, 0, false}, kTimeoutMs,
                 Done<RangeResponse>());
    }
  }

  int under_way() const { return under_way_; }
  const Histogram& took_us() const { return took_us_; }

 private:
  template <typename Response>
  Api::Done<Response> Done() {
    return [this, began = Clock::now()](const Result<Response>& answer) {
      if (!answer.ok()) {
        std::fprintf(stderr, "%s\n", answer.error().message().c_str());
        std::exit(1);
      }
      const auto took = Clock::now() - began;
      took_us_.Add(static_cast<uint64_t>(
          std::chrono::duration_cast<std::chrono::microseconds>(took).count()));
      --under_way_;
      Send();
    };
  }

  TxnRequest SomePuts() {
    // etcd takes no key twice in one Txn.
    std::set<std::string> keys;
    while (keys.size() < static_cast<size_t>(puts_per_txn_)) {
      keys.insert(SomeKey());
    }
    TxnRequest request;
    for (const std::string& key : keys) {
      request.then.push_back(
          {Op::Kind::kPut, key, std::string(kValueBytes, 'v')});
    }
    return request;
  }

  std::string SomeKey() {
    char key[32];
    std::snprintf(key, sizeof(key), "load/%012d",
                  std::uniform_int_distribution<int>(0, kKeys - 1)(random_));
    return key;
  }

  Api& api_;
  const bool puts_;
  const int puts_per_txn_;
  int left_;
  int under_way_ = 0;
  std::mt19937 random_;
  Histogram took_us_;
};

std::vector<std::string> SplitAtCommas(std::string_view text) {
  std::vector<std::string> parts;
  for (size_t comma = 0; comma != std::string_view::npos;) {
    comma = text.find(',');
    parts.emplace_back(text.substr(0, comma));
    text.remove_prefix(comma == std::string_view::npos ? text.size()
                                                       : comma + 1);
  }
  return parts;
}

int Main(const char* endpoints, bool puts, int in_flight, int puts_per_txn,
         int count) {
  EventFd wake;
  ClientOptions options;
  options.endpoints = SplitAtCommas(endpoints);
  const auto api = Connect(options, wake.wake());
  if (!api.ok()) {
    std::fprintf(stderr, "%s\n", api.error().message().c_str());
    return 1;
  }
  Load load(**api, puts, puts_per_txn, count);
  const auto began = Clock::now();
  for (int i = 0; i < in_flight; ++i) load.Send();
  while (load.under_way() > 0) {
    pollfd woken = {wake.fd(), POLLIN, 0};
    KVD_CHECK(poll(&woken, 1, -1) == 1);
    wake.Clear();
    (*api)->Poll();
  }
  const std::chrono::duration<double> took = Clock::now() - began;
  const auto milliseconds = [&](uint64_t per_mille) {
    return static_cast<double>(load.took_us().Quantile(per_mille)) / 1000;
  };
  std::printf("%.0f %.2f %.2f\n", count / took.count(), milliseconds(500),
              milliseconds(990));
  return 0;
}

}  // namespace
}  // namespace kvd::etcd

int main(int argc, char** argv) {
  const std::string_view what = argc == 6 ? argv[1] : "";
  const int in_flight = argc == 6 ? std::atoi(argv[3]) : 0;
  const int puts = argc == 6 ? std::atoi(argv[4]) : 0;
  const int count = argc == 6 ? std::atoi(argv[5]) : 0;
  if ((what != "put" && what != "get") || in_flight < 1 || puts < 1 ||
      count < 1) {
    std::fprintf(stderr, "usage: %s put|get ENDPOINTS IN_FLIGHT PUTS COUNT\n",
                 argv[0]);
    return 2;
  }
  return kvd::etcd::Main(argv[2], what == "put", in_flight, puts, count);
}
