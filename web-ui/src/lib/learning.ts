// The part of the interface that is about learning: labels, training jobs, models. The shapes are those of the OpenAPI document, with
// the gate's findings, which it leaves open, spelled out.

import { read, send, type Inspection, type Verdict } from './api';

/** What a label means for a part. */
export type Meaning = 'pass' | 'fail' | 'review';

export interface LearningLabel {
  name: string;
  verdict: Meaning;
  origin: 'model' | 'registered' | 'new';
  /** Labels that people gave. */
  count: number;
}

export type QueueReason = 'low_margin' | 'heads_disagree' | 'unlike' | 'audit' | 'second_opinion' | 'drifted';

export type Interval = [low: number, high: number];

export interface Learning {
  labels: LearningLabel[];
  queue: { waiting: number; per_hour: number; taken_this_hour: number; reasons: { reason: QueueReason; count: number }[] };
  answers: { labelled: number; unsure: number; skipped: number; overrides: number };
  second_opinion: { share: number; pairs: number; kappa: number | null };
  /** From the random audit alone. */
  estimates: {
    share: number;
    audited: number;
    bad: number;
    good: number;
    escape_rate: number | null;
    escape_ci: Interval | null;
    overkill_rate: number | null;
    overkill_ci: Interval | null;
  };
}

export interface QueueItem {
  id: number;
  triggered_at: string;
  serial: string | null;
  verdict: Verdict;
  label: string | null;
  scores: { label: string; score: number }[];
  value: number;
  reasons: { reason: QueueReason; detail: string }[];
  /** SHA-256 of the graph that judged it. */
  model: string;
}

export interface Neighbour {
  id: number;
  label: string;
  distance: number;
}

export type QueueDetail = QueueItem & { neighbours: Neighbour[] };

/** Most valuable first. */
export interface Queue {
  waiting: number;
  items: QueueItem[];
}

export type AnswerBody = { answer: 'label'; label: string; verdict?: 'fail' | 'review' } | { answer: 'unsure' } | { answer: 'skip' };

export interface Answer {
  id: number;
  answer: AnswerBody['answer'];
  label: string | null;
  by: string;
  at: string;
  way: 'queue' | 'override' | 'second_opinion';
  undone: boolean;
  new_kind: null | { label: string; shots: number; trouble: string | null };
}

/** One line of a part's provenance. */
export interface GivenAnswer {
  answer: AnswerBody['answer'];
  label: string | null;
  by: string;
  at: string;
  undone: boolean;
  way: 'queue' | 'override' | 'second_opinion';
}

export type JobState = 'waiting' | 'running' | 'paused' | 'judging' | 'done' | 'failed' | 'cancelled';

export interface Job {
  id: number;
  state: JobState;
  why: string;
  by: string;
  created_at: string;
  started_at: string | null;
  ended_at: string | null;
  /** Why it failed. */
  reason: string | null;
  /** None before it is frozen. */
  dataset: null | { digest: string; images: number; labelled: number; held_out: number; golden: number; gone: number; labels: { name: string; count: number }[] };
  progress: null | { stage: 'features' | 'head' | 'all_layers'; done: number; epoch: number; loss: number; accuracy: number; eta_s: number };
  candidate: string | null;
  gate: Gate | null;
  line_p99_us: { before: number | null; during: number | null };
}

export interface CurvePoint {
  at_s: number;
  stage: 'features' | 'head' | 'all_layers';
  epoch: number;
  loss: number;
  accuracy: number;
  selection_accuracy: number | null;
  selection_loss: number | null;
}

export type JobDetail = Job & { curve: CurvePoint[]; log: string[] };

export interface GateRate {
  champion: number;
  candidate: number;
  /** Parts that the champion had right and the candidate has wrong, and the other way round. */
  lost: number;
  won: number;
  margin: number;
  p: number;
  non_inferior: boolean;
  /** So many more labels are needed before it can be told; null when none are. */
  missing: number | null;
}

export interface GateSet {
  name: string;
  n_good: number;
  n_bad: number;
  /** None where there is no part to tell it by. */
  escapes: GateRate | null;
  overkill: GateRate | null;
  reviews: GateRate | null;
  classes: { name: string; n: number; champion_right: number; candidate_right: number; regressed: boolean }[];
}

export interface Flip {
  /** Path in the frozen data set. */
  key: string;
  truth: string;
  champion: Verdict;
  candidate: Verdict;
  image: string | null;
}

export interface Gate {
  passed: boolean;
  sets: GateSet[];
  flips: Flip[];
  /** All of them; the list may be cut. */
  flips_total: number;
  words: string[];
}

export interface Promotion {
  at: string;
  by: string;
  reason: string | null;
  /** The gate had not passed. */
  forced: boolean;
  ended: null | { at: string; by: string; why: string };
}

export interface Model {
  digest: string;
  name: string;
  labels: string[];
  made_at: string;
  made_by: string;
  parent: string | null;
  dataset: string | null;
  state: 'champion' | 'previous' | 'candidate' | 'retired';
  gate: Gate | null;
  /** When its file made room for newer ones. */
  removed_at: string | null;
  promotions: Promotion[];
}

/** Newest first. */
export interface Models {
  champion: string;
  previous: string | null;
  models: Model[];
}

export const readLearning = () => read<Learning>('/learning');
export const readQueue = (limit = 50) => read<Queue>(`/queue?limit=${limit}`);
export const readQueueItem = (id: number) => read<QueueDetail>(`/queue/${id}`);
export const readAnswers = (id: number) => read<{ answers: GivenAnswer[] }>(`/inspections/${id}/label`);
export const readJobs = () => read<{ jobs: Job[] }>('/jobs');
export const readJob = (id: number) => read<JobDetail>(`/jobs/${id}`);
export const readModels = () => read<Models>('/models');

/** The key makes sending again harmless: the daemon does it once and repeats its first answer. */
const once = (key: string) => ({ 'idempotency-key': key });

export const sendAnswer = (id: number, body: AnswerBody, key: string) => send<Answer>('POST', `/inspections/${id}/label`, body, once(key));
/** Refused where the last answer is about another part; null takes back the last one, whatever it is about. */
export const sendUndo = (id: number | null, key: string) => send<{ id: number }>('POST', '/labels/undo', { id }, once(key));
export const startJob = () => send<Job>('POST', '/jobs', {}, once(crypto.randomUUID()));
export const tellJob = (id: number, what: 'cancel' | 'pause' | 'resume' | 'judge') => send<Job>('POST', `/jobs/${id}/${what}`, {});
export const deleteJob = (id: number) => send('DELETE', `/jobs/${id}`);
export const promote = (digest: string, reason: string | null) => send<Promotion>('POST', `/models/${digest}/promote`, { reason });
export const rollBack = (reason: string) => send<Promotion>('POST', '/models/rollback', { reason });

/** A part that is not, or no longer, in the queue, as a thing to label. */
export function itemOf(part: Inspection): QueueItem {
  const { id, triggered_at, serial, verdict, label, scores, model } = part;
  return { id, triggered_at, serial, verdict, label, scores, model, value: 0, reasons: [] };
}
