// SPDX-License-Identifier: MIT
#include "daemon/loop/messages.h"

#include <algorithm>
#include <functional>
#include <utility>

namespace kvd {
namespace {

// Connections that are sent to in one slice: about 100 us.
constexpr size_t kSentTogether = 48;

// What messages of all clients take is looked at when so much has been added.
constexpr uint64_t kLookAfterBytes = uint64_t{4} << 20;

}  // namespace

void Messages::Deliver(Seq seen) {
  for (const Mail& mail : service_.pubsub->TakeMail()) {
    const Seq seq = mail.seq.value_or(seen);
    const bool wait =
        seq != 0 && service_.store != nullptr && service_.store->MustWait(seq);
    service_.pubsub->Deliver(mail, seq, wait);
  }
}

void Messages::SendLater(Connection& connection) {
  if (std::exchange(connection.in.later, true)) return;
  later_.push_back(&connection);
}

void Messages::Work() {
  if (service_.pubsub->has_work()) {
    service_.pubsub->Work();
    Deliver(0);
  }
  if (service_.pubsub->delivered_bytes() - looked_at_delivered_ >
      kLookAfterBytes) {
    looked_at_delivered_ = service_.pubsub->delivered_bytes();
    KeepWithinLimit();
  }
}

std::vector<Connection*> Messages::TakeSome() {
  const auto count =
      static_cast<ptrdiff_t>(std::min(later_.size(), kSentTogether));
  std::vector<Connection*> some(later_.begin(), later_.begin() + count);
  later_.erase(later_.begin(), later_.begin() + count);
  for (Connection* connection : some) connection->in.later = false;
  return some;
}

// Closes those that have read least until what messages take is within its
// bound. A shared message goes with the last one that has not read it.
void Messages::KeepWithinLimit() {
  const uint64_t limit =
      service_.config.limits.subscriber_bytes * ServerState::kSubscribersWorth;
  uint64_t held = service_.pubsub->held_bytes();
  std::vector<std::pair<size_t, Inbox*>> slowest;
  for (const Session* session : service_.sessions) {
    if (session->subscriptions == nullptr) continue;
    held += session->inbox->OwnMessageBytes();
    slowest.emplace_back(session->inbox->UnsentMessageBytes(), session->inbox);
  }
  if (held <= limit) return;
  std::ranges::sort(slowest, std::greater());
  for (const auto& [bytes, inbox] : slowest) {
    if (held <= limit || bytes == 0) return;
    inbox->CloseAsSlow();
    held -= std::min<uint64_t>(held, bytes);
  }
}

void Messages::EraseClosed() {
  std::erase_if(later_, [](const Connection* c) { return c->closed(); });
}

}  // namespace kvd
