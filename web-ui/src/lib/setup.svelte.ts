// What the set-up page knows, kept fresh: often while good parts are shown or something is learned.

import { Doing, wordsOf } from './doing.svelte';
import { t } from './say';
import { beginLesson, endLesson, enforceRecipe, learn, leaveOut, makeRecipe, readRecipe, readRecipes, readSetup, type RecipeDetail, type Recipes, type Setup } from './setup';

const BUSY_MS = 700;
const CALM_MS = 5_000;

export class SetupState extends Doing {
  recipes = $state.raw<Recipes | null>(null);
  setup = $state.raw<Setup | null>(null);
  /** The recipe in force. */
  now = $state.raw<RecipeDetail | null>(null);
  /** A version that was just made here and is not in force. */
  made = $state.raw<RecipeDetail | null>(null);

  start(): () => void {
    let stopped = false;
    const round = async () => {
      await this.read();
      const busy = this.setup?.lesson.on || this.setup?.learning === 'learning';
      if (!stopped) timer = setTimeout(round, busy ? BUSY_MS : CALM_MS);
    };
    let timer = setTimeout(round, 0);
    return () => {
      stopped = true;
      clearTimeout(timer);
    };
  }

  async read(): Promise<void> {
    try {
      const [recipes, setup] = await Promise.all([readRecipes(), readSetup()]);
      if (recipes.in_force !== this.now?.tag) this.now = await readRecipe(recipes.in_force);
      this.recipes = recipes;
      this.setup = setup;
      if (this.made && this.made.tag === recipes.in_force) this.made = null;
      this.problem = null;
    } catch (error) {
      this.problem = wordsOf(error);
    }
  }

  /** Makes a version of the recipe in force; it waits until somebody puts it in force. */
  make = (change: Record<string, unknown>, reason: string | null) =>
    this.do(async () => {
      const from = this.recipes?.in_force;
      if (!from) throw new Error(t('not-known-yet'));
      this.made = await makeRecipe(from, change, reason);
      return this.made;
    });
  enforce = (tag: string, reason: string | null) => this.do(() => enforceRecipe(tag, reason));
  lesson = (parts: number) => this.do(() => beginLesson(parts));
  endLesson = () => this.do(endLesson);
  leaveOut = (id: number) => this.do(() => leaveOut(id));
  learn = () => this.do(learn);
}
