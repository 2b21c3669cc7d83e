// SPDX-License-Identifier: MIT
#include "daemon/loop/messages.h"

#include <algorithm>
#include <functional>
#include <utility>

namespace kvd {
namespace {

// Connections that are sent to in one turn: about 100 us, or a share of those
// that wait.
constexpr size_t kSentTogether = 48;
constexpr size_t kSentShare = 16;
// PUBLISH waits while more than this was handed out and is not sent; everybody
// waits at twice as much.
constexpr uint64_t kBacklogBytesMax = uint64_t{16} << 20;

// Events of keys that are published behind one command. Those of one that
// changes more follow in later turns, unless there are too many.
constexpr size_t kEventsAtOnce = 1024;
constexpr size_t kEventsMax = 500'000;

// Events that wait to be compared with patterns, in slices. Beyond that
// everybody waits: they come faster than they can be worked off.
constexpr size_t kSlowMessagesMax = 20'000;

// How much is handed out between two looks at what all messages take.
constexpr uint64_t kLookAfterBytes = uint64_t{4} << 20;

}  // namespace

void Messages::Deliver(Seq seen) {
  const std::vector<Mail> mail = pubsub_.TakeMail();
  if (key_events_.size() <= kEventsAtOnce) DeliverEvents(kEventsAtOnce);
  GiveOut(mail, seen);
}

void Messages::DeliverEvents(size_t most) {
  if (!key_events_.has_ready()) return;
  SendEvents(key_events_.Take(most), service_.wanted_events, &pubsub_);
  GiveOut(pubsub_.TakeMail(), 0);
  while (pubsub_.slow_messages() > kSlowMessagesMax) {
    pubsub_.Work();
    GiveOut(pubsub_.TakeMail(), 0);
  }
}

void Messages::GiveOut(const std::vector<Mail>& mail, Seq seen) {
  for (const Mail& one : mail) {
    const Seq seq = one.seq.value_or(seen);
    const bool wait =
        seq != 0 && service_.store != nullptr && service_.store->MustWait(seq);
    pubsub_.Deliver(one, seq, wait);
  }
}

void Messages::SendLater(Connection& connection, size_t bytes) {
  later_bytes_ += bytes;
  connection.in.later_bytes += bytes;
  pubsub_.set_has_backlog(later_bytes_ > kBacklogBytesMax);
  if (std::exchange(connection.in.later, true)) return;
  later_.push_back(&connection);
}

void Messages::Work() {
  DeliverEvents(key_events_.size() > kEventsMax ? SIZE_MAX : kEventsAtOnce);
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
  const size_t some = std::max(kSentTogether, later_.size() / kSentShare);
  const size_t most = later_bytes_ > 2 * kBacklogBytesMax ? SIZE_MAX : some;
  const auto end =
      later_.begin() + static_cast<ptrdiff_t>(std::min(later_.size(), most));
  std::vector<Connection*> taken(later_.begin(), end);
  later_.erase(later_.begin(), end);
  for (Connection* connection : taken) {
    connection->in.later = false;
    later_bytes_ -= std::exchange(connection->in.later_bytes, 0);
  }
  pubsub_.set_has_backlog(later_bytes_ > kBacklogBytesMax);
  return taken;
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
  std::erase_if(later_, [&](const Connection* c) {
    if (c->closed()) later_bytes_ -= c->in.later_bytes;
    return c->closed();
  });
}

}  // namespace kvd
