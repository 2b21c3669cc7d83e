// SPDX-License-Identifier: MIT
#include "daemon/pubsub/event_messages.h"

#include <fmt/format.h>

#include <string>
#include <utility>

namespace kvd {
namespace {

// What finding a message's receivers may take at once, in PubSub's measure.
constexpr size_t kWorkAtOnce = 1024;

void Send(std::string_view channel, std::string_view payload, Seq seq,
          PubSub* pubsub) {
  auto receivers = pubsub->FindForEvent(channel, kWorkAtOnce);
  if (receivers && receivers->empty()) return;
  SharedMessage message =
      pubsub->NewMessage(TopicKind::kChannel, channel, payload);
  if (receivers) {
    pubsub->Send({std::move(message), seq, *std::move(receivers)});
  } else {
    pubsub->SendEventSlowly(std::move(message), seq);
  }
}

}  // namespace

WantedEvents WantedEventsOf(std::string_view letters) {
  WantedEvents wanted;
  const auto has = [&](char letter) {
    return letters.find(letter) != letters.npos;
  };
  wanted.by_key = has('K');
  wanted.by_event = has('E');
  if (!wanted.by_key && !wanted.by_event) return {};
  const auto add = [&](KeyEventClass one, bool wants) {
    if (wants) wanted.classes = static_cast<uint8_t>(wanted.classes | one);
  };
  add(kGenericEvents, has('A') || has('g'));
  add(kStringEvents, has('A') || has('$'));
  add(kExpiredEvents, has('A') || has('x'));
  add(kNewEvents, has('n'));
  add(kMissEvents, has('m'));
  return wanted;
}

void SendEvents(const std::vector<KeyEvents::Noted>& noted,
                const WantedEvents& wanted, PubSub* pubsub) {
  if (pubsub->topics(TopicKind::kChannel) == 0 &&
      pubsub->topics(TopicKind::kPattern) == 0) {
    return;
  }
  for (const auto& [event, database, seq, key] : noted) {
    const std::string_view name = NameOf(event);
    if (wanted.by_key) {
      Send(fmt::format("__keyspace@{}__:{}", database, key), name, seq, pubsub);
    }
    if (wanted.by_event) {
      Send(fmt::format("__keyevent@{}__:{}", database, name), key, seq, pubsub);
    }
  }
}

}  // namespace kvd
