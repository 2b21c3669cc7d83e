// SPDX-License-Identifier: MIT
#include "daemon/loop/messages.h"

#include <algorithm>
#include <functional>
#include <utility>

namespace kvd {
namespace {

// Connections that are sent to in one slice: about 100 us.
constexpr size_t kSentTogether = 48;

// Events that wait to be compared with patterns, in slices. Beyond that
// everybody waits: they come faster than they can be worked off.
constexpr size_t kSlowMessagesMax = 20'000;

// What messages of all clients take is looked at when so much has been added.
constexpr uint64_t kLookAfterBytes = uint64_t{4} << 20;

}  // namespace

void Messages::Deliver(Seq seen) {
  const std::vector<Mail> mail = pubsub_.TakeMail();
  if (!key_events_.empty()) {
    SendEvents(key_events_.Take(), service_.wanted_events, &pubsub_);
    GiveOut(pubsub_.TakeMail(), 0);
    while (pubsub_.slow_messages() > kSlowMessagesMax) {
      pubsub_.Work();
      GiveOut(pubsub_.TakeMail(), 0);
    }
  }
  GiveOut(mail, seen);
}

void Messages::GiveOut(const std::vector<Mail>& mail, Seq seen) {
  for (const Mail& one : mail) {
    const Seq seq = one.seq.value_or(seen);
    const bool wait =
        seq != 0 && service_.store != nullptr && service_.store->MustWait(seq);
    pubsub_.Deliver(one, seq, wait);
  }
}

void Messages::SendLater(Connection& connection) {
  if (std::exchange(connection.in.later, true)) return;
  later_.push_back(&connection);
}

void Messages::Work() {
  if (pubsub_.has_work()) {
    pubsub_.Work();
    Deliver(0);
  }
  if (pubsub_.delivered_bytes() - looked_at_delivered_ > kLookAfterBytes) {
    looked_at_delivered_ = pubsub_.delivered_bytes();
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
  uint64_t held = pubsub_.held_bytes();
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
