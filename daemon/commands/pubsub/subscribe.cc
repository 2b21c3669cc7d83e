// SPDX-License-Identifier: MIT
//
// SUBSCRIBE, PSUBSCRIBE, SSUBSCRIBE, and what ends a subscription. Each name is
// confirmed by a message of its own. Source of their form: Redis.
#include <fmt/format.h>

#include <optional>
#include <string>
#include <string_view>

#include "daemon/commands/handlers.h"
#include "daemon/commands/support.h"
#include "daemon/pubsub/pubsub.h"

namespace kvd {
namespace {

// Names of one command that are worked off in one turn: some milliseconds.
constexpr size_t kNamesInOneTurn = 2048;
// Of a confirmation beside the name.
constexpr size_t kConfirmationBytes = 64;

struct Verbs {
  std::string_view begin;
  std::string_view end;
};

Verbs VerbsOf(TopicKind kind) {
  switch (kind) {
    case TopicKind::kChannel:
      return {"subscribe", "unsubscribe"};
    case TopicKind::kPattern:
      return {"psubscribe", "punsubscribe"};
    case TopicKind::kShard:
      return {"ssubscribe", "sunsubscribe"};
  }
  return {};
}

// As confirmations count: those of shards by themselves.
size_t CountOf(const Session& session, TopicKind kind) {
  if (kind == TopicKind::kShard) return session.subscribed(kind);
  return session.subscribed(TopicKind::kChannel) +
         session.subscribed(TopicKind::kPattern);
}

void Confirm(const Session& session, TopicKind kind, std::string_view verb,
             std::optional<std::string_view> name, ReplyWriter* reply) {
  reply->PushHeader(3);
  reply->Bulk(verb);
  if (name) {
    reply->Bulk(*name);
  } else {
    reply->Null();
  }
  reply->Integer(static_cast<int64_t>(CountOf(session, kind)));
}

// Whether the names are not too long; answers an error if one is.
bool NamesFit(Call& call, TopicKind kind) {
  const bool is_pattern = kind == TopicKind::kPattern;
  const size_t most =
      is_pattern ? PubSub::kPatternBytesMax : PubSub::kChannelBytesMax;
  for (const std::string_view name : call.args.subspan(1)) {
    if (name.size() <= most) continue;
    call.reply.Error(fmt::format("ERR {} is too long (maximum {} bytes)",
                                 is_pattern ? "pattern" : "channel", most));
    return false;
  }
  return true;
}

size_t BytesOfNames(const Call& call) {
  size_t bytes = 0;
  for (const std::string_view name : call.args.subspan(1)) bytes += name.size();
  return bytes;
}

// Whether the confirmations can be sent. If not the reply has overflowed.
bool RepliesFit(Call& call, size_t names, size_t bytes) {
  bytes += names * kConfirmationBytes;
  return call.reply.HasRoom(bytes) || call.reply.Claim(bytes);
}

// Has a transaction that is undone put back what was changed.
template <typename Undo>
void IfUndone(Call& call, Undo undo) {
  if (call.undoes != nullptr) call.undoes->push_back(std::move(undo));
}

// Calls `each` with every name of the command and where its confirmation goes:
// in several turns if they are many, and the confirmations are listed until
// then.
template <typename Each>
void ForEachName(Call& call, Each each) {
  const auto names = call.args.subspan(1);
  std::unique_ptr<Listing>& listing = call.session.listing;
  if (names.size() <= kNamesInOneTurn || call.in_transaction()) {
    for (const std::string_view name : names) each(name, &call.reply);
    return;
  }
  if (listing == nullptr) listing = std::make_unique<Listing>();
  for (size_t i = 0; listing->cursor < names.size(); ++i) {
    if (i == kNamesInOneTurn) return call.op->WaitFor(WaitsFor::kOthers);
    ReplyWriter reply(listing->Room(), call.reply.protocol());
    each(names[listing->cursor++], &reply);
    listing->Added(1, reply.wanted_bytes());
  }
  ReplyChunks(call, *listing);
}

// Whether the names of the command may be subscribed to; answers an error if
// not.
bool MaySubscribe(Call& call, TopicKind kind) {
  Session& session = call.session;
  PubSub& pubsub = *call.service.pubsub;
  const size_t names = call.args.size() - 1;
  const size_t bytes = BytesOfNames(call);
  if (!NamesFit(call, kind) || !RepliesFit(call, names, bytes)) return false;
  if (session.subscriptions == nullptr) {
    session.subscriptions = pubsub.NewSubscriber(*session.inbox);
  }
  const std::string why_not =
      pubsub.WhyNot(*session.subscriptions, kind, names, bytes);
  if (!why_not.empty()) call.reply.Error(why_not);
  return why_not.empty();
}

void Subscribe(Call& call, TopicKind kind) {
  Session& session = call.session;
  PubSub& pubsub = *call.service.pubsub;
  const bool goes_on = session.listing != nullptr;
  if (!goes_on && !MaySubscribe(call, kind)) return;
  Subscriber* const subscriber = session.subscriptions.get();
  ForEachName(call, [&](std::string_view name, ReplyWriter* reply) {
    if (pubsub.Subscribe(subscriber, kind, name)) {
      IfUndone(call, [&pubsub, subscriber, kind, name = std::string(name)] {
        pubsub.Unsubscribe(subscriber, kind, name);
      });
    }
    Confirm(session, kind, VerbsOf(kind).begin, name, reply);
  });
}

void End(Call& call, TopicKind kind, const std::string& name,
         ReplyWriter* reply) {
  Session& session = call.session;
  PubSub& pubsub = *call.service.pubsub;
  Subscriber* const subscriber = session.subscriptions.get();
  if (subscriber != nullptr && pubsub.Unsubscribe(subscriber, kind, name)) {
    IfUndone(call, [&pubsub, subscriber, kind, name] {
      pubsub.Subscribe(subscriber, kind, name);
    });
  }
  Confirm(session, kind, VerbsOf(kind).end, name, reply);
}

// Ends all of that kind, in several turns if they are many: the confirmations
// are listed until then.
void EndAll(Call& call, TopicKind kind) {
  Session& session = call.session;
  const size_t names = session.subscribed(kind);
  std::unique_ptr<Listing>& listing = session.listing;
  if (names == 0 && listing == nullptr) {
    return Confirm(session, kind, VerbsOf(kind).end, std::nullopt, &call.reply);
  }
  if (listing == nullptr) {
    if (!RepliesFit(call, names, session.subscriptions->name_bytes())) return;
    listing = std::make_unique<Listing>();
  }
  for (size_t i = 0; session.subscribed(kind) > 0; ++i) {
    if (i == kNamesInOneTurn && !call.in_transaction()) {
      return call.op->WaitFor(WaitsFor::kOthers);
    }
    std::string* const text = listing->Room();
    ReplyWriter reply(text, call.reply.protocol());
    End(call, kind, std::string(*session.subscriptions->Any(kind)), &reply);
    listing->Added(1, reply.wanted_bytes());
  }
  ReplyChunks(call, *listing);
}

void Unsubscribe(Call& call, TopicKind kind) {
  const size_t names = call.args.size() - 1;
  if (names == 0) return EndAll(call, kind);
  const bool goes_on = call.session.listing != nullptr;
  if (!goes_on && !RepliesFit(call, names, BytesOfNames(call))) return;
  ForEachName(call, [&](std::string_view name, ReplyWriter* reply) {
    End(call, kind, std::string(name), reply);
  });
}

}  // namespace

void HandleSubscribe(Call& call) { Subscribe(call, TopicKind::kChannel); }
void HandlePSubscribe(Call& call) { Subscribe(call, TopicKind::kPattern); }
void HandleSSubscribe(Call& call) { Subscribe(call, TopicKind::kShard); }

void HandleUnsubscribe(Call& call) { Unsubscribe(call, TopicKind::kChannel); }
void HandlePUnsubscribe(Call& call) { Unsubscribe(call, TopicKind::kPattern); }
void HandleSUnsubscribe(Call& call) { Unsubscribe(call, TopicKind::kShard); }

}  // namespace kvd
