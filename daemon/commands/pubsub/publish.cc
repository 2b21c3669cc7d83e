// SPDX-License-Identifier: MIT
//
// PUBLISH and SPUBLISH, and PUBSUB, which tells who is subscribed to what.
#include <fmt/format.h>

#include <algorithm>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "config/units.h"
#include "daemon/commands/handlers.h"
#include "daemon/commands/support.h"
#include "daemon/pubsub/pubsub.h"

namespace kvd {
namespace {

// What PUBLISH does at once, in the measure of PubSub: half a millisecond or
// less. What takes more is done in slices.
constexpr size_t kWorkAtOnce = 4096;
// In a transaction, which cannot wait.
constexpr size_t kWorkInTransaction = 65'536;
// Of PUBSUB CHANNELS in one turn.
constexpr size_t kListedInOneTurn = 8192;
constexpr uint64_t kGlobStepsPerName = 64;

// Whether there may be such a message; answers an error if not.
bool MessageFits(Call& call) {
  const std::string_view channel = call.args[1];
  if (channel.size() > PubSub::kChannelBytesMax) {
    call.reply.Error(fmt::format("ERR channel is too long (maximum {} bytes)",
                                 PubSub::kChannelBytesMax));
    return false;
  }
  // With the longest pattern and all framing.
  constexpr size_t kMore = PubSub::kPatternBytesMax + 256;
  const uint64_t limit = call.service.config.limits.subscriber_bytes;
  const uint64_t bytes = channel.size() + call.args[2].size() + kMore;
  if (bytes <= limit) return true;
  call.reply.Error(
      fmt::format("ERR the message takes {} bytes, and no subscriber may have "
                  "more unsent than limits.subscriber_bytes, which is {}; it "
                  "was not published",
                  bytes, FormatSize(limit)));
  return false;
}

// Once it is certain that a batch stands: until then some who are subscribed
// may have gone.
void PublishLater(Call& call, SharedMessage message) {
  call.WhenCertain([&pubsub = *call.service.pubsub,
                    message = std::move(message)] {
    auto receivers =
        pubsub.Find(message->kind(), message->channel(), kWorkInTransaction);
    if (receivers) {
      pubsub.Send({message, std::nullopt, *std::move(receivers)});
    } else {
      pubsub.SendSlowly(message, 0);
    }
  });
}

void PublishTo(Call& call, SharedMessage message,
               std::vector<Receiver> receivers) {
  if (call.in_transaction() && call.service.batches != nullptr) {
    return PublishLater(call, std::move(message));
  }
  call.WhenCertain([&pubsub = *call.service.pubsub,
                    mail = Mail{std::move(message), std::nullopt,
                                std::move(receivers)}]() mutable {
    pubsub.Send(std::move(mail));
  });
}

// What cannot be done at once.
void PublishSlowly(Call& call, TopicKind kind) {
  if (call.in_transaction()) {
    return call.room->Refuse(
        "ERR too many patterns may match the channel to publish in a "
        "transaction or script; nothing was changed. PUBLISH by itself works");
  }
  PubSub& pubsub = *call.service.pubsub;
  call.session.posting =
      pubsub.SendSlowly(pubsub.NewMessage(kind, call.args[1], call.args[2]),
                        call.session.newest_seen);
  call.op->WaitFor(WaitsFor::kOthers);
}

void Publish(Call& call, TopicKind kind) {
  std::shared_ptr<const Posting>& posting = call.session.posting;
  if (posting != nullptr) {
    if (!posting->done) return call.op->WaitFor(WaitsFor::kOthers);
    call.reply.Integer(static_cast<int64_t>(posting->receivers));
    return posting.reset();
  }
  if (!MessageFits(call)) return;
  PubSub& pubsub = *call.service.pubsub;
  if (pubsub.has_backlog() && !call.in_transaction()) {
    return call.op->WaitFor(WaitsFor::kOthers);
  }
  auto receivers =
      pubsub.Find(kind, call.args[1],
                  call.in_transaction() ? kWorkInTransaction : kWorkAtOnce);
  if (!receivers) return PublishSlowly(call, kind);
  const size_t count = receivers->size();
  if (!HasTransactionRoom(call,
                          call.args[2].size() + count * sizeof(Receiver))) {
    return;
  }
  call.reply.Integer(static_cast<int64_t>(count));
  if (count == 0) return;
  PublishTo(call, pubsub.NewMessage(kind, call.args[1], call.args[2]),
            *std::move(receivers));
}

// What makes a listing of names.
struct Wanted {
  TopicKind kind;
  std::optional<Glob> glob;
};

// Goes on with `listing`; false if there is more.
bool ListSome(const Call& call, const Wanted& wanted, Listing* listing) {
  const PubSub& pubsub = *call.service.pubsub;
  uint64_t work = 0;
  bool ended = true;
  pubsub.ForEachTopic(
      wanted.kind, listing->after ? &*listing->after : nullptr,
      [&](const std::string& name) {
        if (work > kListedInOneTurn && !call.in_transaction()) {
          ended = false;
          return false;
        }
        ++work;
        listing->after = name;
        const uint64_t steps = wanted.glob ? wanted.glob->steps() : 0;
        if (wanted.glob && !wanted.glob->Matches(name)) return true;
        if (wanted.glob) {
          work += (wanted.glob->steps() - steps) / kGlobStepsPerName;
        }
        if (pubsub.Subscribers(wanted.kind, name) == 0) return true;
        std::string* const text = listing->Room();
        ReplyWriter reply(text, call.reply.protocol());
        reply.Bulk(name);
        listing->Added(1, reply.wanted_bytes());
        return true;
      });
  return ended;
}

// PUBSUB CHANNELS and SHARDCHANNELS.
void ListChannels(Call& call, TopicKind kind) {
  Wanted wanted{kind, std::nullopt};
  if (call.args.size() > 2) {
    wanted.glob = PatternWord(call, 2);
    if (!wanted.glob) return;
  }
  std::unique_ptr<Listing>& listing = call.session.listing;
  if (listing == nullptr) listing = std::make_unique<Listing>();
  const bool ended = ListSome(call, wanted, listing.get());
  if (!ended && call.reply.HasRoom(listing->bytes())) {
    return call.op->WaitFor(WaitsFor::kOthers);
  }
  call.reply.ArrayHeader(listing->count());
  ReplyChunks(call, *listing);
}

void CountSubscribers(Call& call, TopicKind kind) {
  const auto names = call.args.subspan(2);
  call.reply.ArrayHeader(names.size() * 2);
  for (const std::string_view name : names) {
    call.reply.Bulk(name);
    call.reply.Integer(
        static_cast<int64_t>(call.service.pubsub->Subscribers(kind, name)));
  }
}

}  // namespace

void HandlePublish(Call& call) { Publish(call, TopicKind::kChannel); }
void HandleSPublish(Call& call) { Publish(call, TopicKind::kShard); }

void HandlePubSubChannels(Call& call) {
  ListChannels(call, TopicKind::kChannel);
}
void HandlePubSubShardChannels(Call& call) {
  ListChannels(call, TopicKind::kShard);
}

void HandlePubSubNumSub(Call& call) {
  CountSubscribers(call, TopicKind::kChannel);
}
void HandlePubSubShardNumSub(Call& call) {
  CountSubscribers(call, TopicKind::kShard);
}

void HandlePubSubNumPat(Call& call) {
  call.reply.Integer(
      static_cast<int64_t>(call.service.pubsub->topics(TopicKind::kPattern)));
}

void HandlePubSubHelp(Call& call) {
  constexpr std::string_view kLines[] = {
      "PUBSUB <subcommand> [<arg> [value] [opt] ...]. Subcommands are:",
      "CHANNELS [<pattern>]",
      "    Return the channels that have subscribers, all or those that match.",
      "NUMPAT",
      "    Return how many different patterns clients are subscribed to.",
      "NUMSUB [<channel> ...]",
      "    Return how many subscribers channels have, patterns not counted.",
      "SHARDCHANNELS [<pattern>]",
      "    Return the channels of SSUBSCRIBE that have subscribers.",
      "SHARDNUMSUB [<channel> ...]",
      "    Return how many subscribers channels of SSUBSCRIBE have.",
      "HELP",
      "    Print this help.",
  };
  ReplyLines(call, kLines);
}

}  // namespace kvd
