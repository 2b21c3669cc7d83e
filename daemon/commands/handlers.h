// SPDX-License-Identifier: MIT
//
// The handlers behind the rows of table.cc, by family of commands.
#pragma once

#include "daemon/commands/table.h"

namespace kvd {

// string.cc
void HandleAppend(Call& call);
void HandleDecr(Call& call);
void HandleDecrBy(Call& call);
void HandleDelEx(Call& call);
void HandleDelIfEq(Call& call);
void HandleDigest(Call& call);
void HandleGet(Call& call);
void HandleGetDel(Call& call);
void HandleGetEx(Call& call);
void HandleGetRange(Call& call);
void HandleGetSet(Call& call);
void HandleIncr(Call& call);
void HandleIncrBy(Call& call);
void HandleIncrByFloat(Call& call);
void HandleLcs(Call& call);
void HandleMGet(Call& call);
void HandleMSet(Call& call);
void HandleMSetEx(Call& call);
void HandleMSetNx(Call& call);
void HandlePSetEx(Call& call);
void HandleSet(Call& call);
void HandleSetEx(Call& call);
void HandleSetNx(Call& call);
void HandleSetRange(Call& call);
void HandleStrLen(Call& call);

// bits.cc
void HandleBitCount(Call& call);
void HandleBitField(Call& call);
void HandleBitFieldRo(Call& call);
void HandleBitOp(Call& call);
void HandleBitPos(Call& call);
void HandleGetBit(Call& call);
void HandleSetBit(Call& call);

// key.cc
void HandleCopy(Call& call);
void HandleDbSize(Call& call);
void HandleDel(Call& call);
void HandleExists(Call& call);
void HandleExpire(Call& call);
void HandleExpireAt(Call& call);
void HandleExpireTime(Call& call);
void HandleFlushAll(Call& call);
void HandleFlushDb(Call& call);
void HandleKeys(Call& call);
void HandleMove(Call& call);
void HandleObjectEncoding(Call& call);
void HandleObjectFreq(Call& call);
void HandleObjectHelp(Call& call);
void HandleObjectIdleTime(Call& call);
void HandleObjectRefCount(Call& call);
void HandlePersist(Call& call);
void HandlePExpire(Call& call);
void HandlePExpireAt(Call& call);
void HandlePExpireTime(Call& call);
void HandlePTtl(Call& call);
void HandleRandomKey(Call& call);
void HandleRename(Call& call);
void HandleRenameNx(Call& call);
void HandleScan(Call& call);
void HandleSwapDb(Call& call);
void HandleTtl(Call& call);
void HandleType(Call& call);

// client.cc
void HandleClientCaching(Call& call);
void HandleClientCapa(Call& call);
void HandleClientGetName(Call& call);
void HandleClientGetRedir(Call& call);
void HandleClientHelp(Call& call);
void HandleClientId(Call& call);
void HandleClientInfo(Call& call);
void HandleClientKill(Call& call);
void HandleClientList(Call& call);
void HandleClientNoEvict(Call& call);
void HandleClientNoTouch(Call& call);
void HandleClientPause(Call& call);
void HandleClientReply(Call& call);
void HandleClientSetInfo(Call& call);
void HandleClientSetName(Call& call);
void HandleClientTracking(Call& call);
void HandleClientTrackingInfo(Call& call);
void HandleClientUnblock(Call& call);
void HandleClientUnpause(Call& call);

// config.cc
void HandleConfigGet(Call& call);
void HandleConfigHelp(Call& call);
void HandleConfigResetStat(Call& call);
void HandleConfigRewrite(Call& call);
void HandleConfigSet(Call& call);

// connection.cc
void HandleAuth(Call& call);
void HandleEcho(Call& call);
void HandleHello(Call& call);
void HandlePing(Call& call);
void HandleQuit(Call& call);
void HandleReset(Call& call);
void HandleSelect(Call& call);

// server.cc
void HandleBgRewriteAof(Call& call);
void HandleBgSave(Call& call);
void HandleCluster(Call& call);
void HandleDebug(Call& call);
void HandleFunctionFlush(Call& call);
void HandleFunctionHelp(Call& call);
void HandleInfo(Call& call);
void HandleLastSave(Call& call);
void HandleMonitor(Call& call);
void HandleRole(Call& call);
void HandleSave(Call& call);
void HandleShutdown(Call& call);
void HandleTime(Call& call);
void HandleWait(Call& call);
void HandleWaitAof(Call& call);

// eval.cc
void HandleEval(Call& call);
void HandleEvalRo(Call& call);
void HandleEvalSha(Call& call);
void HandleEvalShaRo(Call& call);
void HandleScriptExists(Call& call);
void HandleScriptFlush(Call& call);
void HandleScriptHelp(Call& call);
void HandleScriptKill(Call& call);
void HandleScriptLoad(Call& call);
void HandleScriptShow(Call& call);

// latency.cc
void HandleKvLatencyCommands(Call& call);
void HandleKvLatencyLog(Call& call);
void HandleLatencyDoctor(Call& call);
void HandleLatencyGraph(Call& call);
void HandleLatencyHelp(Call& call);
void HandleLatencyHistogram(Call& call);
void HandleLatencyHistory(Call& call);
void HandleLatencyLatest(Call& call);
void HandleLatencyReset(Call& call);
void HandleSlowLogGet(Call& call);
void HandleSlowLogHelp(Call& call);
void HandleSlowLogLen(Call& call);
void HandleSlowLogReset(Call& call);

// memory.cc
void HandleMemoryDoctor(Call& call);
void HandleMemoryHelp(Call& call);
void HandleMemoryMallocStats(Call& call);
void HandleMemoryPurge(Call& call);
void HandleMemoryStats(Call& call);
void HandleMemoryUsage(Call& call);

// pubsub/subscribe.cc
void HandlePSubscribe(Call& call);
void HandlePUnsubscribe(Call& call);
void HandleSSubscribe(Call& call);
void HandleSUnsubscribe(Call& call);
void HandleSubscribe(Call& call);
void HandleUnsubscribe(Call& call);

// pubsub/publish.cc
void HandlePubSubChannels(Call& call);
void HandlePubSubHelp(Call& call);
void HandlePubSubNumPat(Call& call);
void HandlePubSubNumSub(Call& call);
void HandlePubSubShardChannels(Call& call);
void HandlePubSubShardNumSub(Call& call);
void HandlePublish(Call& call);
void HandleSPublish(Call& call);

// transaction.cc
void HandleDiscard(Call& call);
void HandleExec(Call& call);
void HandleMulti(Call& call);
void HandleUnwatch(Call& call);
void HandleWatch(Call& call);

// command.cc
void HandleAclCat(Call& call);
void HandleAclHelp(Call& call);
void HandleAclList(Call& call);
void HandleAclUsers(Call& call);
void HandleAclWhoAmI(Call& call);
void HandleCommand(Call& call);
void HandleCommandCount(Call& call);
void HandleCommandDocs(Call& call);
void HandleCommandGetKeys(Call& call);
void HandleCommandHelp(Call& call);
void HandleCommandInfo(Call& call);
void HandleCommandList(Call& call);

// kv.cc
void HandleKvBackupBegin(Call& call);
void HandleKvBackupEnd(Call& call);
void HandleKvBackupRead(Call& call);
void HandleKvCompact(Call& call);
void HandleKvDel(Call& call);
void HandleKvGet(Call& call);
void HandleKvHelp(Call& call);
void HandleKvSet(Call& call);
void HandleKvStatus(Call& call);

}  // namespace kvd
