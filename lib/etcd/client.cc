// SPDX-License-Identifier: MIT
#include "etcd/client.h"

#include <grpcpp/security/credentials.h>

#include <algorithm>
#include <map>
#include <unordered_map>
#include <utility>
#include <variant>

#include "base/check.h"
#include "etcd/session.h"

namespace kvd::etcd {
namespace {

// How much a watch's owner takes between two notices to the other side.
constexpr size_t kTakenNoticeBytes = kUntakenBytesMax / 4;

template <typename... Calls>
struct Overloaded : Calls... {
  using Calls::operator()...;
};
template <typename... Calls>
Overloaded(Calls...) -> Overloaded<Calls...>;

class Client final : public Api {
 public:
  Client(std::vector<Endpoint> endpoints, ConnectionOptions options, Wake wake);
  ~Client() override;

  void Txn(TxnRequest request, int64_t timeout_ms,
           Done<TxnResponse> done) override;
  void Range(RangeRequest request, int64_t timeout_ms,
             Done<RangeResponse> done) override;
  std::unique_ptr<Watch> StartWatch(std::string key, std::string range_end,
                                    int64_t from_revision,
                                    std::function<void(WatchUpdate)> on_update,
                                    std::function<void(Error)> on_end) override;
  void Status(int64_t timeout_ms,
              std::function<void(std::vector<MemberStatus>)> done) override;
  void Poll() override;

 private:
  struct Watcher {
    std::function<void(WatchUpdate)> on_update;
    std::function<void(Error)> on_end;
    size_t taken_bytes = 0;  // Not yet told to the other side.
    bool ended = false;
  };
  class Handle;

  void Deliver(News news);
  void DeliverUpdates(uint64_t id, std::vector<WatchUpdate> updates);
  void DeliverEnd(uint64_t id, Error error);
  void EndWatch(uint64_t id);

  template <typename Response, typename Table>
  static void Answer(Table& table, uint64_t id, Response response) {
    const auto found = table.find(id);
    // Out of the table first: `done` may ask for more.
    const auto done = std::move(found->second);
    table.erase(found);
    done(std::move(response));
  }

  const Wake wake_;
  Mailbox<News> news_;
  uint64_t ids_ = 0;
  std::unordered_map<uint64_t, Done<TxnResponse>> txns_;
  std::unordered_map<uint64_t, Done<RangeResponse>> ranges_;
  std::unordered_map<uint64_t, std::function<void(std::vector<MemberStatus>)>>
      statuses_;
  // By pointer: a callback may end its own watch while it runs.
  std::map<uint64_t, std::unique_ptr<Watcher>> watches_;
  std::vector<std::unique_ptr<Watcher>> ended_;
  std::unique_ptr<Session> session_;  // Of the thread alone.
  EventThread thread_;                // The last: it uses the others.
};

class Client::Handle final : public Watch {
 public:
  Handle(Client* client, uint64_t id) : client_(client), id_(id) {}
  ~Handle() override { client_->EndWatch(id_); }
  void RequestProgress() override {
    client_->thread_.Post([session = &client_->session_, id = id_] {
      (*session)->RequestProgress(id);
    });
  }

 private:
  Client* client_;
  uint64_t id_;
};

Client::Client(std::vector<Endpoint> endpoints, ConnectionOptions options,
               Wake wake)
    : wake_(std::move(wake)) {
  thread_.Post([this, endpoints = std::move(endpoints),
                options = std::move(options)]() mutable {
    session_ = std::make_unique<Session>(thread_, std::move(endpoints), options,
                                         news_, wake_);
  });
}

Client::~Client() {
  KVD_CHECK(watches_.empty());
  thread_.Post([this] { session_.reset(); });
}

void Client::Txn(TxnRequest request, int64_t timeout_ms,
                 Done<TxnResponse> done) {
  const uint64_t id = ++ids_;
  txns_.emplace(id, std::move(done));
  thread_.Post([this, id, timeout_ms, request = std::move(request)]() mutable {
    session_->Txn(id, std::move(request), timeout_ms);
  });
}

void Client::Range(RangeRequest request, int64_t timeout_ms,
                   Done<RangeResponse> done) {
  const uint64_t id = ++ids_;
  ranges_.emplace(id, std::move(done));
  thread_.Post([this, id, timeout_ms, request = std::move(request)]() mutable {
    session_->Range(id, std::move(request), timeout_ms);
  });
}

std::unique_ptr<Watch> Client::StartWatch(
    std::string key, std::string range_end, int64_t from_revision,
    std::function<void(WatchUpdate)> on_update,
    std::function<void(Error)> on_end) {
  // etcd would take 0 for "from now on", which is later after a failure.
  KVD_CHECK(from_revision > 0);
  const uint64_t id = ++ids_;
  watches_[id] = std::make_unique<Watcher>(
      Watcher{.on_update = std::move(on_update), .on_end = std::move(on_end)});
  WatchStream::Watched watched{.key = std::move(key),
                               .range_end = std::move(range_end),
                               .from_revision = from_revision};
  thread_.Post([this, id, watched = std::move(watched)]() mutable {
    session_->StartWatch(id, std::move(watched));
  });
  return std::make_unique<Handle>(this, id);
}

void Client::Status(int64_t timeout_ms,
                    std::function<void(std::vector<MemberStatus>)> done) {
  const uint64_t id = ++ids_;
  statuses_.emplace(id, std::move(done));
  thread_.Post([this, id, timeout_ms] { session_->Status(id, timeout_ms); });
}

void Client::Poll() {
  for (News& news : news_.TakeAll()) Deliver(std::move(news));
  ended_.clear();
}

void Client::Deliver(News news) {
  const uint64_t id = news.id;
  std::visit(
      Overloaded{[&](Result<TxnResponse>& result) {
                   Answer(txns_, id, std::move(result));
                 },
                 [&](Result<RangeResponse>& result) {
                   Answer(ranges_, id, std::move(result));
                 },
                 [&](std::vector<MemberStatus>& members) {
                   Answer(statuses_, id, std::move(members));
                 },
                 [&](std::vector<WatchUpdate>& updates) {
                   DeliverUpdates(id, std::move(updates));
                 },
                 [&](Error& error) { DeliverEnd(id, std::move(error)); }},
      news.what);
}

void Client::DeliverUpdates(uint64_t id, std::vector<WatchUpdate> updates) {
  const auto found = watches_.find(id);
  if (found == watches_.end()) return;
  Watcher& watcher = *found->second;
  for (WatchUpdate& update : updates) {
    for (const Event& event : update.events) {
      watcher.taken_bytes += BytesOf(event);
    }
    watcher.on_update(std::move(update));
    if (watcher.ended) return;
  }
  if (watcher.taken_bytes < kTakenNoticeBytes) return;
  thread_.Post([this, id, bytes = std::exchange(watcher.taken_bytes, 0)] {
    session_->Taken(id, bytes);
  });
}

void Client::DeliverEnd(uint64_t id, Error error) {
  const auto found = watches_.find(id);
  if (found != watches_.end()) found->second->on_end(std::move(error));
}

void Client::EndWatch(uint64_t id) {
  const auto found = watches_.find(id);
  found->second->ended = true;
  // Destroyed later: this may be within a call of one of its callbacks.
  ended_.push_back(std::move(found->second));
  watches_.erase(found);
  thread_.Post([this, id] { session_->EndWatch(id); });
}

Result<std::vector<Endpoint>> ParseEndpoints(
    const std::vector<std::string>& texts) {
  if (texts.empty()) {
    return Fail(ErrorCode::kInvalid,
                "no etcd endpoint is given: name at least one, as in "
                "http://127.0.0.1:2379");
  }
  std::vector<Endpoint> endpoints;
  for (const std::string& text : texts) {
    KVD_TRY_ASSIGN(Endpoint endpoint, ParseEndpoint(text));
    for (const Endpoint& other : endpoints) {
      if (other.Target() != endpoint.Target()) continue;
      return Fail(ErrorCode::kInvalid,
                  "the etcd endpoints \"{}\" and \"{}\" are one: name each "
                  "member once",
                  other.name, endpoint.name);
    }
    endpoints.push_back(std::move(endpoint));
  }
  return endpoints;
}

bool AnyIsEncrypted(const std::vector<Endpoint>& endpoints) {
  return std::any_of(endpoints.begin(), endpoints.end(),
                     [](const Endpoint& endpoint) { return endpoint.tls; });
}

}  // namespace

Result<void> Check(const ClientOptions& options) {
  KVD_TRY_ASSIGN(const std::vector<Endpoint> endpoints,
                 ParseEndpoints(options.endpoints));
  if (AnyIsEncrypted(endpoints))
    KVD_TRY(ReadCertificates(options.certificates));
  return {};
}

Result<std::unique_ptr<Api>> Connect(const ClientOptions& options, Wake wake) {
  KVD_TRY_ASSIGN(std::vector<Endpoint> endpoints,
                 ParseEndpoints(options.endpoints));
  ConnectionOptions connection{
      .plain = grpc::InsecureChannelCredentials(),
      .tls = nullptr,
      .connect_timeout_ms = options.connect_timeout_ms};
  if (AnyIsEncrypted(endpoints)) {
    KVD_TRY_ASSIGN(const Certificates read,
                   ReadCertificates(options.certificates));
    connection.tls = grpc::SslCredentials({.pem_root_certs = read.ca,
                                           .pem_private_key = read.key,
                                           .pem_cert_chain = read.cert});
  }
  return std::unique_ptr<Api>(std::make_unique<Client>(
      std::move(endpoints), std::move(connection), std::move(wake)));
}

}  // namespace kvd::etcd
