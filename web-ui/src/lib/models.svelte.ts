// What the models page shows: models, training jobs, and what a person told them to do.

import { Doing, wordsOf } from './doing.svelte';
import { deleteJob, promote, readJob, readJobs, readModels, rollBack, startJob, tellJob, type Job, type JobDetail, type Models } from './learning';
import { ended } from './learn-words';

/** While something is training its progress is asked for; events tell of the rest. */
const PROGRESS_MS = 2_000;
const REREAD_MS = 15_000;

export class ModelsState extends Doing {
  models = $state.raw<Models | null>(null);
  jobs = $state.raw<Job[] | null>(null);
  /** Of the job that is picked. */
  detail = $state.raw<JobDetail | null>(null);

  #wanted: number | null = null;

  start(): () => void {
    void this.read();
    const progress = setInterval(() => {
      if (this.jobs?.some((job) => !ended(job))) void this.read();
    }, PROGRESS_MS);
    const reread = setInterval(() => void this.read(), REREAD_MS);
    return () => {
      clearInterval(progress);
      clearInterval(reread);
    };
  }

  async read(): Promise<void> {
    try {
      const [models, jobs] = await Promise.all([readModels(), readJobs(), this.#readDetail().catch(() => null)]);
      this.models = models;
      this.jobs = jobs.jobs;
      this.problem = null;
    } catch (error) {
      this.problem = wordsOf(error);
    }
  }

  /** The job whose curve and log are wanted. */
  async pick(id: number | null): Promise<void> {
    if (id === this.#wanted) return;
    this.#wanted = id;
    this.detail = null;
    await this.#readDetail().catch((error: unknown) => (this.problem = wordsOf(error)));
  }

  train = () => this.do(startJob);
  tell = (id: number, what: 'cancel' | 'pause' | 'resume' | 'judge') => this.do(() => tellJob(id, what));
  remove = (id: number) =>
    this.do(async () => {
      await deleteJob(id);
      // Its curve and log are not asked for any more.
      if (this.#wanted === id) this.#wanted = this.detail = null;
      return true;
    });
  promote = (digest: string, reason: string | null) => this.do(() => promote(digest, reason));
  rollBack = (reason: string) => this.do(() => rollBack(reason));

  async #readDetail(): Promise<void> {
    const id = this.#wanted;
    if (id === null) return;
    const detail = await readJob(id);
    if (id === this.#wanted) this.detail = detail;
  }
}
